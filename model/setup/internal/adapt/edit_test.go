package adapt

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// partOf is gotch without the folders that are not copied.
func partOf(t *testing.T, dir string) fs.FS {
	t.Helper()
	return onlyFiles{os.DirFS(dir)}
}

type onlyFiles struct{ fs.FS }

func (o onlyFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	var kept []fs.DirEntry
	for _, entry := range entries {
		if !entry.IsDir() || entry.Name() == "ts" || entry.Name() == "libtch" {
			kept = append(kept, entry)
		}
	}
	return kept, err
}

func TestEdits(t *testing.T) {
	const text = "package p\n\nfunc a() int {\n\tif x {\n\t}\n\treturn 1\n}\n\nfunc b() {}\n"
	tests := []struct {
		name string
		edit func(*source)
		want string // part of the result, or of the error after "!"
	}{
		{"replace", func(s *source) { s.replace("return 1", "return 2", 1) }, "\treturn 2\n"},
		{"replace too often", func(s *source) { s.replace("func", "fn", 1) }, `!f.go: "func" stands there 2 times, not 1`},
		{"replace nothing", func(s *source) { s.replace("goto", "", 1) }, `!f.go: "goto" stands there 0 times, not 1`},
		{"matches", func(s *source) { s.replaceMatches(regexp.MustCompile(`func (\w)`), "func _$1", 2) }, "func _b"},
		{"matches too few", func(s *source) { s.replaceMatches(regexp.MustCompile(`func (c)`), "", 1) }, "!matches 0 times, not 1"},
		{"function", func(s *source) { s.replaceFunc("func a(", "func a() {}\n") }, "package p\n\nfunc a() {}\n\nfunc b() {}\n"},
		{"no function", func(s *source) { s.replaceFunc("func c(", "") }, `!f.go: "func c(" is not there`},
		{"function without end", func(s *source) { s.replaceFunc("func b(", "") }, `!f.go: "func b(" has no end`},
		{"the first error stays", func(s *source) { s.replace("x1", "", 1); s.replace("x2", "", 1) }, `!"x1"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &source{path: "f.go", text: []byte(text)}
			test.edit(s)
			if want, fails := strings.CutPrefix(test.want, "!"); fails {
				if s.err == nil || !strings.Contains(s.err.Error(), want) {
					t.Errorf("the error is %v, not one with %q", s.err, want)
				}
				return
			}
			if s.err != nil {
				t.Fatal(s.err)
			}
			if !strings.Contains(string(s.text), test.want) {
				t.Errorf("the result lacks %q:\n%s", test.want, s.text)
			}
		})
	}
}
