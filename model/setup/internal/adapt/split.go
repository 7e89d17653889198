package adapt

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// The 2,489 C functions that gotch generates stand in one Go file behind one
// header. For each name cgo has the C compiler make errors, and for each error
// GCC compares the name with every other in sight to suggest a spelling: 40
// seconds. In parts whose preambles declare what they call and no more it takes
// four.
const functionsPerPart = 250

var (
	// declaration is a function in torch_api_generated.h.
	declaration = regexp.MustCompile(`(?m)^[a-z].*\b(atg_\w+)\(.*\);$`)
	// calledC is a use of such a function.
	calledC = regexp.MustCompile(`\bC\.(atg_\w+)`)
)

// splitBindings replaces libtch/c-generated.go and the header it reads by parts,
// and has the hand-written bindings declare what they call.
func splitBindings(made Files) error {
	declared := map[string]string{}
	for _, m := range declaration.FindAllSubmatch(made["libtch/torch_api_generated.h"], -1) {
		declared[string(m[1])] = string(m[0])
	}
	header := &source{path: "libtch/torch_api.h", text: made["libtch/torch_api.h"]}
	header.replace("#include \"torch_api_generated.h\"\n", "", 1)
	manual := &source{path: "libtch/patch.go", text: made["libtch/patch.go"]}
	preamble, err := declare(declared, manual.text)
	if err != nil {
		return fmt.Errorf("%s: %w", manual.path, err)
	}
	manual.replace("//#include \"torch_api.h\"\n", "//#include \"torch_api.h\"\n"+preamble, 1)
	for _, s := range []*source{header, manual} {
		if s.err != nil {
			return s.err
		}
		made[s.path] = s.text
	}
	functions := bytes.SplitAfter(made["libtch/c-generated.go"], []byte("\n}\n"))
	_, first, found := bytes.Cut(functions[0], []byte("import \"unsafe\"\n"))
	if !found {
		return fmt.Errorf("libtch/c-generated.go: its imports are not where they were")
	}
	functions[0] = first
	for n := 0; n*functionsPerPart < len(functions); n++ {
		part := functions[n*functionsPerPart : min((n+1)*functionsPerPart, len(functions))]
		text, err := bindings(declared, bytes.Join(part, nil))
		if err != nil {
			return fmt.Errorf("libtch/c-generated.go: %w", err)
		}
		made[fmt.Sprintf("libtch/c-generated-%02d.go", n)] = text
	}
	delete(made, "libtch/c-generated.go")
	delete(made, "libtch/torch_api_generated.h")
	return nil
}

// bindings is a Go file with the functions given.
func bindings(declared map[string]string, functions []byte) ([]byte, error) {
	preamble, err := declare(declared, functions)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("package libtch\n\n//#include <stdbool.h>\n//#include <stdlib.h>\n//#include \"torch_api.h\"\n")
	b.WriteString(preamble)
	b.WriteString("import \"C\"\n\n")
	if bytes.Contains(functions, []byte("unsafe.")) {
		b.WriteString("import \"unsafe\"\n")
	}
	b.Write(functions)
	return b.Bytes(), nil
}

// declare gives the lines of a preamble that declare what the text calls.
func declare(declared map[string]string, text []byte) (string, error) {
	var b strings.Builder
	written := map[string]bool{}
	for _, m := range calledC.FindAllSubmatch(text, -1) {
		name := string(m[1])
		if written[name] {
			continue
		}
		written[name] = true
		if declared[name] == "" {
			return "", fmt.Errorf("%s is in no header", name)
		}
		b.WriteString("//" + declared[name] + "\n")
	}
	return b.String(), nil
}
