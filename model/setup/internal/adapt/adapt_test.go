package adapt

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// published is the folder of the real gotch in the module cache.
func published(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "github.com", "sugarme", "gotch@"+Version)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("gotch is not in the module cache: %v", err)
	}
	return dir
}

var testFlags = Flags{LibDir: "/opt/lib torch/lib", Archive: "/home/me/.cache/libgotch.a", Libraries: []string{"-ltorch_cpu", "-lc10"}}

func TestModule(t *testing.T) {
	dir := published(t)
	made, err := Module(dir, testFlags)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range made {
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".cpp") || strings.HasSuffix(path, ".cpp.h") {
			t.Errorf("%s was copied", path)
		}
		if !strings.HasSuffix(path, ".go") {
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), path, text, 0); err != nil {
			t.Errorf("%s is no Go any more: %v", path, err)
		}
	}
	for path, gone := range map[string][]string{
		"ts/tensor-generated.go": {"C.malloc", "unsafe.", `import "C"`},
		"ts/patch.go":            {"newTensor(*nextPtr)", "uintptr(", `import "C"`},
		"ts/tensor.go":           {"1e5", "SetFinalizer", "ExistingTensors", "lock."},
		"ts/scalar.go":           {"ExistingScalars", "lock."},
		"ts/error.go":            {"debug.Stack"},
		"libtch/tensor.go":       {"*(*int)(", "C.malloc(0)"},
		"libtch/lib.go":          {"cuda"},
		"init.go":                {"MkdirAll"},
	} {
		for _, text := range gone {
			if bytes.Contains(made[path], []byte(text)) {
				t.Errorf("%s still has %q", path, text)
			}
		}
	}
	again, err := Module(dir, testFlags)
	if err != nil {
		t.Fatal(err)
	}
	if made.Hash() != again.Hash() {
		t.Error("two adaptations of one gotch differ")
	}
}

// Every binding stands in exactly one part, and each part declares what it
// calls.
func TestModuleSplitsBindings(t *testing.T) {
	dir := published(t)
	made, err := Module(dir, testFlags)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "libtch", "c-generated.go"))
	if err != nil {
		t.Fatal(err)
	}
	var parts []byte
	for path, text := range made {
		if strings.HasPrefix(path, "libtch/c-generated-") {
			parts = append(parts, text...)
		}
	}
	want, got := strings.Count(string(whole), "\nfunc "), strings.Count(string(parts), "\nfunc ")
	if got != want {
		t.Errorf("the parts have %d functions, gotch %d", got, want)
	}
	for _, call := range calledC.FindAllString(string(whole), -1) {
		if !bytes.Contains(parts, []byte(call)) {
			t.Errorf("no part calls %s", call)
		}
	}
}

// A gotch that is not the one the changes were written for is refused, by name
// of the file.
func TestModuleTellsWhatMoved(t *testing.T) {
	dir := published(t)
	tests := []struct{ path, old, new, want string }{
		{"ts/tensor.go", "lots [1e5]byte", "lots [1e6]byte", "ts/tensor.go: "},
		{"ts/tensor.go", "func newTensor(", "func makeTensor(", "ts/tensor.go: \"func newTensor(\" is not there"},
		{"ts/tensor-generated.go", "ptr := (*lib.Ctensor)(unsafe.Pointer(C.malloc(0)))", "ptr := nil", "ts/tensor-generated.go: "},
		{"ts/scalar.go", "func newScalar(", "func aScalar(", "ts/scalar.go: "},
		{"libtch/c-generated.go", "C.CString(padding)", "cString(padding)", "libtch/c-generated.go: "},
		{"libtch/torch_api.h", `#include "torch_api_generated.h"`, "", "libtch/torch_api.h: "},
		{"libtch/torch_api_generated.h", "void atg_add(", "void atg_plus(", "atg_add is in no header"},
		{"init.go", "func initEnv() {", "func initialise() {", "init.go: "},
	}
	for _, test := range tests {
		t.Run(test.path+" "+test.old, func(t *testing.T) {
			changed := t.TempDir()
			if err := os.CopyFS(changed, partOf(t, dir)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(changed, filepath.FromSlash(test.path))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			edited := bytes.Replace(text, []byte(test.old), []byte(test.new), 1)
			if bytes.Equal(edited, text) {
				t.Fatalf("%s has no %q", test.path, test.old)
			}
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, edited, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Module(changed, testFlags); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, not one with %q", err, test.want)
			}
		})
	}
}

func TestCgoDirectives(t *testing.T) {
	text, err := cgoDirectives(testFlags)
	if err != nil {
		t.Fatal(err)
	}
	want := `"-L/opt/lib torch/lib" "-Wl,-rpath,/opt/lib torch/lib" -ltorch_cpu -lc10`
	if !strings.Contains(string(text), want) {
		t.Errorf("the directives lack %s:\n%s", want, text)
	}
	for _, dir := range []string{"/a,b", `/a"b`, "/a'b", "/$HOME"} {
		if _, err := cgoDirectives(Flags{LibDir: dir, Archive: "/x.a"}); err == nil {
			t.Errorf("the path %s is taken, the linker can't", dir)
		}
	}
}

func TestWrapper(t *testing.T) {
	sources, err := Wrapper(published(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"torch_api.cpp", "torch_api.h", "torch_api_generated.cpp.h", "torch_api_generated.h", "stb_image.h", "blipflow_api.cpp", "blipflow_api.h"} {
		if len(sources[name]) == 0 {
			t.Errorf("%s is not among the sources", name)
		}
	}
	if _, err := Wrapper(t.TempDir()); err == nil {
		t.Error("an empty folder is taken for gotch")
	}
}
