package wrapper

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// place is a line in one of the wrapper's sources.
type place struct {
	file string
	line int
}

// stubbable are the sources that may be changed: gotch's. Fault with ours is a
// defect to mend.
var stubbable = []string{"torch_api.cpp", "torch_api_generated.cpp.h"}

// located is how GCC and clang begin a message: file, line, column. Lines like
// "In file included from torch_api.cpp:1:" do not begin so.
var located = regexp.MustCompile(`^(\S[^:\n]*):(\d+):(?:\d+:)?\s+(.*)`)

// places are where the compiler's errors lie in gotch's sources. An error in one
// of libtorch's headers is led back by the lines around it to the source that
// made the compiler instantiate that template.
func places(messages string) []place {
	var found []place
	for line := range strings.Lines(messages) {
		m := located.FindStringSubmatch(line)
		if m == nil || !leads(m[3]) {
			continue
		}
		file := path.Base(m[1])
		n, err := strconv.Atoi(m[2])
		if err != nil || !slices.Contains(stubbable, file) {
			continue
		}
		if p := (place{file, n}); !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// leads tells whether a message is an error or the way from one to our sources:
// GCC says "required from here", clang "requested here".
func leads(message string) bool {
	return strings.HasPrefix(message, "error:") ||
		strings.HasPrefix(message, "fatal error:") ||
		strings.Contains(message, "required from here") ||
		strings.Contains(message, "requested here")
}

// firstError is the first line that is an error, without its path.
func firstError(messages string) string {
	for line := range strings.Lines(messages) {
		if _, text, found := strings.Cut(line, "error: "); found {
			if m := located.FindStringSubmatch(line); m != nil {
				return path.Base(m[1]) + ":" + m[2] + ": " + strings.TrimSpace(text)
			}
			return strings.TrimSpace(text)
		}
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(messages), "\n"); first != "" {
		return first
	}
	return "the compiler failed without a message"
}
