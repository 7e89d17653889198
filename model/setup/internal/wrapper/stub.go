package wrapper

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// stubber replaces the bodies of functions in gotch's sources.
type stubber struct {
	dir      string
	version  string
	lines    map[string][]string // by source
	exported map[string]bool     // names in the wrapper's C headers
	done     []string
}

// exportedName is a function in a C header of the wrapper.
var exportedName = regexp.MustCompile(`\b(at[a-z]*_\w+)\(`)

func newStubber(dir, version string) (*stubber, error) {
	s := &stubber{dir: dir, version: version, lines: map[string][]string{}, exported: map[string]bool{}}
	for _, name := range stubbable {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		s.lines[name] = strings.Split(string(text), "\n")
	}
	for _, name := range []string{"torch_api.h", "torch_api_generated.h"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for _, m := range exportedName.FindAllStringSubmatch(string(text), -1) {
			s.exported[m[1]] = true
		}
	}
	return s, nil
}

// apply stubs the functions that the places lie in and writes the sources. It
// returns how many it stubbed: places outside of exported functions, and in
// functions already stubbed, are left.
func (s *stubber) apply(places []place) (int, error) {
	var found []function
	for _, p := range places {
		f, ok := enclosing(s.lines[p.file], p.line)
		if !ok || !s.exported[f.name] || slices.Contains(s.done, f.name) {
			continue
		}
		f.file = p.file
		s.done = append(s.done, f.name)
		found = append(found, f)
	}
	for _, f := range found {
		// The lines stay where they are, so that later places still fit.
		lines := s.lines[f.file]
		for i := f.first; i <= f.last; i++ {
			lines[i] = ""
		}
		lines[f.first] = f.stub(s.version)
	}
	for name, lines := range s.lines {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(strings.Join(lines, "\n")), 0o666); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// function is a top-level function of a source.
type function struct {
	file string
	// first and last line, from 0.
	first, last int
	// head is all before its body, name is its own.
	head, name string
}

// headName is the name in a function's head: the identifier before the first
// parenthesis.
var headName = regexp.MustCompile(`^[A-Za-z_][^(;{}=]*?(\w+)\s*\(`)

// enclosing finds the function around a line, counted from 1. gotch's sources
// are formatted: a function starts at the margin and ends with a brace there,
// or on its own line.
func enclosing(lines []string, line int) (function, bool) {
	if line < 1 || line > len(lines) {
		return function{}, false
	}
	first := line - 1
	for first >= 0 && !headName.MatchString(lines[first]) {
		if lines[first] == "}" && first < line-1 {
			return function{}, false // between two functions
		}
		first--
	}
	if first < 0 {
		return function{}, false
	}
	last := first
	for !strings.HasPrefix(lines[last], "}") && !(last == first && strings.HasSuffix(lines[last], "}")) {
		if last++; last == len(lines) {
			return function{}, false
		}
	}
	if last < line-1 {
		return function{}, false
	}
	head, _, found := strings.Cut(strings.Join(lines[first:last+1], " "), "{")
	if !found {
		return function{}, false
	}
	return function{first: first, last: last, head: strings.TrimSpace(head), name: headName.FindStringSubmatch(head)[1]}, true
}

// stub is the function with a body that fails.
func (f function) stub(version string) string {
	returns, _, _ := strings.Cut(f.head, f.name)
	after := " return {};"
	if strings.TrimSpace(returns) == "void" {
		after = ""
	}
	return fmt.Sprintf(`%s { PROTECT(throw std::runtime_error("libtorch %s has no %s as gotch calls it");)%s }`, f.head, version, f.name, after)
}
