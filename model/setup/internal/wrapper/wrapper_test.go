package wrapper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/setup/internal/adapt"
	"github.com/blipflow/blipflow/model/setup/internal/libtorch"
)

func fixture(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPlaces(t *testing.T) {
	const generated, manual = "torch_api_generated.cpp.h", "torch_api.cpp"
	for _, compiler := range []string{"gcc", "clang"} {
		t.Run(compiler, func(t *testing.T) {
			got := places(fixture(t, compiler+".txt"))
			want := []place{{generated, 633}, {manual, 164}, {generated, 90}}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	if got := places("blipflow_api.cpp:3:1: error: fault of our own\n"); got != nil {
		t.Errorf("our own source is to be stubbed: %v", got)
	}
}

func TestFirstError(t *testing.T) {
	tests := []struct{ messages, want string }{
		{"a.cpp:1:2: note: x\n/opt/include/b.h:3:4: error: no such thing\n", "b.h:3: no such thing"},
		{"g++: error: unrecognized command-line option ‘-std=c++20’\n", "unrecognized command-line option ‘-std=c++20’"},
		{"something else\nand more\n", "something else"},
		{"", "the compiler failed without a message"},
	}
	for _, test := range tests {
		if got := firstError(test.messages); got != test.want {
			t.Errorf("firstError(%q) = %q, want %q", test.messages, got, test.want)
		}
	}
}

// The line of any error in a function leads to it, and to no other.
func TestEnclosing(t *testing.T) {
	lines := strings.Split(fixture(t, "torch_api.cpp")+fixture(t, "torch_api_generated.cpp.h"), "\n")
	want := ""
	for i, line := range lines {
		if name := headName.FindStringSubmatch(line); name != nil {
			want = name[1]
		}
		inside := want
		f, ok := enclosing(lines, i+1)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
			if ok {
				t.Errorf("line %d, %q, is taken for part of %s", i+1, line, f.name)
			}
			continue
		}
		if !ok || f.name != inside {
			t.Errorf("line %d, %q: got %q, %t, want %q", i+1, line, f.name, ok, inside)
		}
	}
	for _, line := range []int{-1, 0, len(lines) + 1} {
		if f, ok := enclosing(lines, line); ok {
			t.Errorf("line %d, which is not there, is in %s", line, f.name)
		}
	}
}

func TestStub(t *testing.T) {
	tests := []struct{ name, want string }{
		{"atg_gone", `void atg_gone(tensor *out__, tensor self, int flag) { PROTECT(throw std::runtime_error("libtorch 9.9.9 has no atg_gone as gotch calls it");) }`},
		{"atg_parts", `tensor *atg_parts(tensor self) { PROTECT(throw std::runtime_error("libtorch 9.9.9 has no atg_parts as gotch calls it");) return {}; }`},
		{"atg_templated", `int64_t atg_templated(tensor self,                       int64_t dim) { PROTECT(throw std::runtime_error("libtorch 9.9.9 has no atg_templated as gotch calls it");) return {}; }`},
	}
	lines := strings.Split(fixture(t, "torch_api_generated.cpp.h"), "\n")
	for _, test := range tests {
		line := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, test.name) })
		f, ok := enclosing(lines, line+1)
		if !ok {
			t.Fatalf("%s was not found", test.name)
		}
		if got := f.stub("9.9.9"); got != test.want {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
	}
}

// smallBuild is a build of the small wrapper in testdata against a libtorch of
// three functions, with the compiler named.
func smallBuild(t *testing.T, compiler string) Build {
	t.Helper()
	b := unlinkedBuild(t, compiler)
	lib := b.Library.Lib()
	for _, name := range []string{"torch_cpu", "c10"} {
		out, err := exec.Command(compiler, "-shared", "-fPIC", "-o", filepath.Join(lib, "lib"+name+".so"), filepath.Join(lib, name+".cpp")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return b
}

// unlinkedBuild is a smallBuild whose libtorch has no shared libraries yet.
func unlinkedBuild(t *testing.T, compiler string) Build {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the small library is made as Linux wants it")
	}
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("no %s", compiler)
	}
	c, err := FindCompiler(t.Context(), compiler)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sources := adapt.Files{}
	for _, name := range []string{"torch_api.cpp", "torch_api.h", "torch_api_generated.cpp.h", "torch_api_generated.h", "blipflow_api.cpp", "blipflow_api.h"} {
		sources[name] = []byte(fixture(t, name))
	}
	headers := adapt.Files{
		"include/torch/torch.h": []byte(fixture(t, "torch.h")),
		"lib/torch_cpu.cpp":     []byte("#include \"../include/torch/torch.h\"\ntorch::Tensor torch::ones(int64_t *sizes, int) { return {sizes[0]}; }\n"),
		"lib/c10.cpp":           []byte("int c10;\n"),
	}
	if err := headers.Write(dir); err != nil {
		t.Fatal(err)
	}
	return Build{
		Sources:  sources,
		Library:  libtorch.Library{Dir: dir, Version: "2.99.0", Standard: 17, ABI: 1},
		Compiler: c,
		Cache:    filepath.Join(t.TempDir(), "wrapper"),
	}
}

// stubbed are the functions of testdata that testdata/torch.h lacks.
var stubbed = []string{"at_manual_seed", "at_threads", "atg_gone", "atg_parts", "atg_templated"}

func TestArchive(t *testing.T) {
	for _, compiler := range []string{"g++", "clang++"} {
		t.Run(compiler, func(t *testing.T) {
			b := smallBuild(t, compiler)
			made, err := b.Archive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(made.Stubbed, stubbed) {
				t.Errorf("stubbed %v, want %v", made.Stubbed, stubbed)
			}
			if made.Standard != 17 || made.Compiler != b.Compiler.Version || made.Seconds <= 0 {
				t.Errorf("the record is %+v", made)
			}
			entries, err := os.ReadDir(b.Cache)
			if err != nil || len(entries) != 1 {
				t.Errorf("the cache holds %v (%v), want one folder", entries, err)
			}
		})
	}
}

// A stubbed function fails with a sentence, through a real program.
func TestStubbedFunctionFails(t *testing.T) {
	b := smallBuild(t, "g++")
	made, err := b.Archive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := `#include <cstdio>
extern "C" { int at_threads(); char *get_and_reset_last_err(); }
int main() { int n = at_threads(); std::printf("%d %s", n, get_and_reset_last_err()); }
`
	if err := (adapt.Files{"p.cpp": []byte(program)}).Write(dir); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("g++", filepath.Join(dir, "p.cpp"), made.Path, "-L"+b.Library.Lib(), "-Wl,-rpath,"+b.Library.Lib(), "-ltorch_cpu", "-o", filepath.Join(dir, "p")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err = exec.Command(filepath.Join(dir, "p")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "0 libtorch 2.99.0 has no at_threads as gotch calls it"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// The cache is used for the same input and for no other.
func TestArchiveIsCached(t *testing.T) {
	b := smallBuild(t, "g++")
	first, err := b.Archive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Archive(t.Context()); err != nil || again.Path != first.Path || again.Seconds != first.Seconds {
		t.Errorf("the second time gave %+v, %v, want %+v", again, err, first)
	}
	keys := map[string]string{"": mustKey(t, b)}
	for name, change := range map[string]func(*Build){
		"source":   func(b *Build) { b.Sources["torch_api.cpp"] = append(b.Sources["torch_api.cpp"], '\n') },
		"version":  func(b *Build) { b.Library.Version = "2.99.1" },
		"standard": func(b *Build) { b.Library.Standard = 20 },
		"abi":      func(b *Build) { b.Library.ABI = 0 },
		"compiler": func(b *Build) { b.Compiler.Version = "g++ 99" },
		"header": func(b *Build) {
			path := filepath.Join(b.Library.Dir, "include", "torch", "torch.h")
			if err := os.WriteFile(path, []byte("// changed"), 0o666); err != nil {
				t.Fatal(err)
			}
		},
	} {
		changed := unlinkedBuild(t, "g++")
		change(&changed)
		key := mustKey(t, changed)
		for other, k := range keys {
			if k == key {
				t.Errorf("a changed %s gives the key of a changed %q", name, other)
			}
		}
		keys[name] = key
	}
}

func mustKey(t *testing.T, b Build) string {
	t.Helper()
	key, err := b.key()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestArchiveFails(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, b *Build)
		want   string
	}{
		{"fault outside of functions", func(_ *testing.T, b *Build) {
			b.Sources["torch_api.cpp"] = append(b.Sources["torch_api.cpp"], "\nnonsense\n"...)
		}, "does not compile against libtorch 2.99.0"},
		{"fault of our own", func(_ *testing.T, b *Build) {
			b.Sources["blipflow_api.cpp"] = []byte("const char *bf_torch_version(void) { return missing; }\n")
		}, "blipflow_api.cpp:1: "},
		{"libtorch is another than its headers", func(_ *testing.T, b *Build) {
			b.Library.Version = "2.98.0"
		}, "a program compiled with them says 2.99.0"},
		{"libtorch needs a library", func(t *testing.T, b *Build) {
			lib := b.Library.Lib()
			for _, command := range []string{
				"g++ -shared -fPIC -x c++ /dev/null -Wl,-soname,libcupti.so.12 -o " + lib + "/libcupti.so.12",
				"g++ -shared -fPIC " + lib + "/torch_cpu.cpp -Wl,--no-as-needed -L" + lib + " -l:libcupti.so.12 -o " + lib + "/libtorch_cpu.so",
				"rm " + lib + "/libcupti.so.12",
			} {
				if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
		}, "libcupti.so.12"},
		{"no library", func(t *testing.T, b *Build) {
			if err := os.Remove(filepath.Join(b.Library.Lib(), "libc10.so")); err != nil {
				t.Fatal(err)
			}
		}, "cannot find -lc10"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := smallBuild(t, "g++")
			test.change(t, &b)
			_, err := b.Archive(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, not one with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is more than one line: %v", err)
			}
			if left, err := os.ReadDir(b.Cache); err != nil || len(left) > 0 {
				t.Errorf("%v was left behind (%v)", left, err)
			}
		})
	}
}

// A wrapper from the cache does not hide that this libtorch does not load.
func TestCachedArchiveStillLoads(t *testing.T) {
	b := smallBuild(t, "g++")
	if _, err := b.Archive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.Library.Lib(), "libtorch_cpu.so")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Archive(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot find -ltorch_cpu") {
		t.Errorf("a libtorch that is gone gives %v", err)
	}
}

func TestArchiveInterrupted(t *testing.T) {
	b := smallBuild(t, "g++")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Archive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, not %v", err, context.Canceled)
	}
	if left, err := os.ReadDir(b.Cache); err != nil || len(left) > 0 {
		t.Errorf("%v was left behind (%v)", left, err)
	}
	killed := filepath.Join(b.Cache, asidePrefix+"1")
	if err := os.MkdirAll(killed, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Archive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed compilation left is still there: %v", err)
	}
}

func TestFindCompiler(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if _, err := FindCompiler(t.Context(), ""); !errors.Is(err, ErrNoCompiler) {
		t.Errorf("the error is %v, not %v", err, ErrNoCompiler)
	}
	put := func(name, version string) {
		script := fmt.Sprintf("#!/bin/sh\necho '%s'\necho more\n", version)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put("clang++", "Debian clang version 14.0.6")
	put("my-g++", "my-g++ 13")
	tests := []struct {
		asked string
		want  Compiler
	}{
		{"", Compiler{Command: []string{"clang++"}, Version: "Debian clang version 14.0.6", Clang: true}},
		{"g++", Compiler{Command: []string{"clang++"}, Version: "Debian clang version 14.0.6", Clang: true}}, // go env's default
		{" ", Compiler{Command: []string{"clang++"}, Version: "Debian clang version 14.0.6", Clang: true}},
		{"my-g++ -m64", Compiler{Command: []string{"my-g++", "-m64"}, Version: "my-g++ 13"}},
	}
	for _, test := range tests {
		got, err := FindCompiler(t.Context(), test.asked)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Command, test.want.Command) || got.Version != test.want.Version || got.Clang != test.want.Clang {
			t.Errorf("asked for %q: got %+v, want %+v", test.asked, got, test.want)
		}
	}
	if _, err := FindCompiler(t.Context(), "icpc"); err == nil || !strings.Contains(err.Error(), "icpc was not found") {
		t.Errorf("a compiler that is not there gives %v", err)
	}
}
