package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/setup/internal/adapt"
	"github.com/blipflow/blipflow/model/setup/internal/libtorch"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/wrapper"
)

const goMod = "module " + modulePath + "\n\ngo 1.26.8\n\nrequire (\n\texample.com/x v1.0.0\n\t" + gotchModule + " " + adapt.Version + "\n)\n"

// checkout is a folder with a go.mod like ours, and the working directory.
func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "go.mod"), goMod)
	t.Chdir(root)
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestFindRoot(t *testing.T) {
	root := checkout(t)
	write(t, filepath.Join(root, "a", "b", "x"), "")
	write(t, filepath.Join(root, "a", "go.mod"), "module example.com/other\n")
	for _, dir := range []string{".", "a", filepath.Join("a", "b")} {
		t.Chdir(filepath.Join(root, dir))
		if got, err := findRoot(); err != nil || got != root {
			t.Errorf("from %s: got %q, %v, want %q", dir, got, err, root)
		}
	}
	t.Chdir(t.TempDir())
	if _, err := findRoot(); err == nil || !strings.Contains(err.Error(), "is not in a checkout") {
		t.Errorf("outside of a checkout the error is %v", err)
	}
}

func TestGotchVersion(t *testing.T) {
	root := checkout(t)
	tests := []struct{ mod, want string }{
		{goMod, adapt.Version},
		{"module m\n\nrequire " + gotchModule + " v1.2.3 // indirect\n", "v1.2.3"},
		{"module m\n", ""},
		{"module m\n\nrequire " + gotchModule + "/ts v1.2.3\n", ""},
	}
	for _, test := range tests {
		write(t, filepath.Join(root, "go.mod"), test.mod)
		if got := gotchVersion(root); got != test.want {
			t.Errorf("%q: got %q, want %q", test.mod, got, test.want)
		}
	}
}

func TestWriteWorkFile(t *testing.T) {
	root := checkout(t)
	path := filepath.Join(root, "go.work")
	for range 2 {
		if err := writeWorkFile(root, "1.26.8"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "\ngo 1.26.8\n\nuse .\n\nreplace "+gotchModule+" => ./.gotch\n") {
			t.Fatalf("go.work is %q, %v", text, err)
		}
	}
	if err := writeWorkFile(root, "1.27.0"); err != nil {
		t.Errorf("a newer go line in go.mod gives %v", err)
	}
	write(t, path, "go 1.26\nuse ../mine\n")
	if err := writeWorkFile(root, "1.26.8"); err == nil || !strings.Contains(err.Error(), "is not the set-up's") {
		t.Errorf("somebody else's go.work gives %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "go 1.26\nuse ../mine\n" {
		t.Errorf("somebody else's go.work was changed to %q, %v", text, err)
	}
}

// settled is a checkout that is set up, with files that stand for the large
// ones.
func settled(t *testing.T) (root string, s stamp) {
	t.Helper()
	root = checkout(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lib", libtorch.SharedName("torch_cpu")), "cpu")
	write(t, filepath.Join(dir, "lib", libtorch.SharedName("c10")), "c10")
	write(t, filepath.Join(dir, "libgotch.a"), "archive")
	library := libtorch.Library{Dir: dir, Version: "2.11.0"}
	files, err := library.Identity()
	if err != nil {
		t.Fatal(err)
	}
	module := adapt.Files{"go.mod": []byte("module gotch\n"), "ts/tensor.go": []byte("package ts\n"), "libtch/lib.go": []byte("package libtch\n")}
	s = stamp{
		Program: programHash(), Gotch: adapt.Version, Module: module.Hash(), Source: fromWheel,
		Libtorch: dir, Version: "2.11.0", Files: files, Archive: wrapper.Archive{Path: filepath.Join(dir, "libgotch.a")},
	}
	if err := install(root, module, s); err != nil {
		t.Fatal(err)
	}
	if err := writeWorkFile(root, "1.26.8"); err != nil {
		t.Fatal(err)
	}
	return root, s
}

func TestNothingToDo(t *testing.T) {
	_, s := settled(t)
	for _, want := range []request{{}, {fetch: true}, {libtorch: s.Libtorch}} {
		said, err := setUp(t.Context(), want, progress.Printer{})
		if err != nil || !strings.HasPrefix(said, "nothing to do") || strings.Contains(said, "\n") {
			t.Errorf("asked for %+v: %q, %v", want, said, err)
		}
	}
}

// Whatever changed after a set-up is noticed.
func TestStampNotices(t *testing.T) {
	later := time.Now().Add(time.Hour)
	tests := []struct {
		name   string
		change func(root string, s *stamp) error
	}{
		{"libtorch has another time", func(_ string, s *stamp) error { return os.Chtimes(s.Files[0].Path, later, later) }},
		{"libtorch has another size", func(_ string, s *stamp) error { return os.WriteFile(s.Files[1].Path, []byte("longer"), 0o666) }},
		{"libtorch is gone", func(_ string, s *stamp) error { return os.RemoveAll(s.Libtorch) }},
		{"the wrapper is gone", func(_ string, s *stamp) error { return os.Remove(s.Archive.Path) }},
		{"the copy was edited", func(root string, _ *stamp) error {
			return os.WriteFile(filepath.Join(root, gotchFolder, "ts", "tensor.go"), []byte("package ts // edited\n"), 0o666)
		}},
		{"the copy has one file more", func(root string, _ *stamp) error {
			return os.WriteFile(filepath.Join(root, gotchFolder, "ts", "more.go"), []byte("package ts\n"), 0o666)
		}},
		{"the copy lost a folder", func(root string, _ *stamp) error { return os.RemoveAll(filepath.Join(root, gotchFolder, "libtch")) }},
		{"go.work is gone", func(root string, _ *stamp) error { return os.Remove(filepath.Join(root, "go.work")) }},
		{"go.work was edited", func(root string, _ *stamp) error {
			return os.WriteFile(filepath.Join(root, "go.work"), []byte(workMark+"\ngo 1.26.8\n"), 0o666)
		}},
		{"go.mod asks for another gotch", func(root string, _ *stamp) error {
			return os.WriteFile(filepath.Join(root, "go.mod"), []byte(strings.Replace(goMod, adapt.Version, "v0.9.2", 1)), 0o666)
		}},
		{"go.mod has another go line", func(root string, _ *stamp) error {
			return os.WriteFile(filepath.Join(root, "go.mod"), []byte(strings.Replace(goMod, "1.26.8", "1.26.9", 1)), 0o666)
		}},
		{"the set-up itself changed", func(_ string, s *stamp) error { s.Program = "another"; return nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root, s := settled(t)
			if !s.current(t.Context(), root, request{}) {
				t.Fatal("the set-up counts as outdated before anything changed")
			}
			if err := test.change(root, &s); err != nil {
				t.Fatal(err)
			}
			if s.current(t.Context(), root, request{}) {
				t.Error("nothing was noticed")
			}
		})
	}
	t.Run("another LIBTORCH", func(t *testing.T) {
		root, s := settled(t)
		if s.current(t.Context(), root, request{libtorch: t.TempDir()}) {
			t.Error("nothing was noticed")
		}
		s.Source = fromVariable
		if s.current(t.Context(), root, request{fetch: true}) {
			t.Error("-fetch was not noticed")
		}
	})
}

// A copy that comes out the same stays in its place, so that Go compiles
// nothing anew; another takes its place whole.
func TestInstall(t *testing.T) {
	root, s := settled(t)
	path := filepath.Join(root, gotchFolder, "ts", "tensor.go")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	module := adapt.Files{"go.mod": []byte("module gotch\n"), "ts/tensor.go": []byte("package ts\n"), "libtch/lib.go": []byte("package libtch\n")}
	s.Program = "newer"
	if err := install(root, module, s); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("an equal copy was written anew (%v)", err)
	}
	if got, err := readStamp(root); err != nil || got.Program != "newer" {
		t.Errorf("the stamp is %+v, %v", got, err)
	}
	write(t, filepath.Join(root, comingPrefix+"1", "x"), "left by an interruption")
	module["ts/tensor.go"] = []byte("package ts // newer\n")
	s.Module = module.Hash()
	if err := install(root, module, s); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "package ts // newer\n" {
		t.Errorf("the copy has %q, %v", text, err)
	}
	left, err := filepath.Glob(filepath.Join(root, gotchFolder+".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v was left behind (%v)", left, err)
	}
}

func TestChooseFolder(t *testing.T) {
	root, s := settled(t)
	bin := t.TempDir()
	write(t, filepath.Join(bin, "python3"), "#!/bin/sh\necho /site/torch\n")
	if err := os.Chmod(filepath.Join(bin, "python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	for _, test := range []struct {
		want        request
		dir, source string
	}{
		{request{libtorch: "/opt/libtorch"}, "/opt/libtorch", fromVariable},
		{request{libtorch: "/opt/libtorch", usePyTorch: true}, "/opt/libtorch", fromVariable},
		{request{usePyTorch: true}, "/site/torch", fromPython},
	} {
		dir, source, err := chooseFolder(t.Context(), root, t.TempDir(), test.want, progress.Printer{})
		if err != nil || dir != test.dir || source != test.source {
			t.Errorf("asked for %+v: got %q from %s, %v", test.want, dir, source, err)
		}
	}
	// A libtorch that the user chose once and that is no more: the pinned one,
	// which can't be fetched without pip.
	s.Source, s.Libtorch = fromVariable, filepath.Join(root, "gone")
	if err := install(root, adapt.Files{"go.mod": []byte("module gotch\n"), "ts/a.go": nil, "libtch/a.go": nil}, s); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(bin, "python3"), "#!/bin/sh\nexit 1\n")
	var said strings.Builder
	_, _, err := chooseFolder(t.Context(), root, t.TempDir(), request{}, progress.Printer{Out: &said})
	if err == nil || !strings.Contains(said.String(), "is gone: taking the pinned one") {
		t.Errorf("said %q, %v", said.String(), err)
	}
}

// What is missing is named in one sentence.
func TestMissingTools(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command to lend")
	}
	tests := []struct {
		name    string
		there   []string
		set     map[string]string
		request request
		want    string
	}{
		{"go", nil, nil, request{}, "the go command was not found: put it on PATH"},
		{"C compiler", []string{"go"}, nil, request{}, "the C compiler gcc was not found: install it (Debian, Ubuntu: apt install gcc g++; Fedora: dnf install gcc gcc-c++"},
		{"C++ compiler", []string{"go", "gcc"}, nil, request{}, "no C++ compiler was found: install one (Debian, Ubuntu: apt install g++"},
		{"the compiler that CXX names", []string{"go", "gcc", "g++"}, map[string]string{"CXX": "icpc"}, request{}, "the C++ compiler icpc was not found"},
		{"cgo", []string{"go", "gcc", "g++"}, map[string]string{"CGO_ENABLED": "0"}, request{}, "CGO_ENABLED is 0, and libtorch is called through cgo: unset it"},
		{"python", []string{"go", "gcc", "g++"}, nil, request{usePyTorch: true}, "python3 was not found: install it"},
		{"libtorch", []string{"go", "gcc", "g++"}, nil, request{libtorch: "/nowhere"}, "/nowhere is no libtorch"},
		{"cache", nil, map[string]string{"HOME": "", "XDG_CACHE_HOME": ""}, request{}, "there is no folder for the cache: set HOME or XDG_CACHE_HOME"},
	}
	gomodcache, err := exec.Command(goTool, "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(gomodcache))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := checkout(t)
			copyGoMod(t, root)
			bin := t.TempDir()
			for _, name := range test.there {
				script := "#!/bin/sh\necho " + name + " 12.2.0\n"
				if name == "go" {
					script = "#!/bin/sh\nexec " + goTool + " \"$@\"\n"
				}
				write(t, filepath.Join(bin, name), script)
				if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			t.Setenv("GOMODCACHE", caches[0])
			t.Setenv("GOCACHE", caches[1])
			t.Setenv("GOFLAGS", "-mod=mod")
			t.Setenv("CC", "gcc")
			t.Setenv("CXX", "")
			t.Setenv("CGO_ENABLED", "1")
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			for name, value := range test.set {
				t.Setenv(name, value)
			}
			_, err := setUp(t.Context(), test.request, progress.Printer{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, not one with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is more than one line: %v", err)
			}
			if _, err := os.Stat(filepath.Join(root, gotchFolder)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
}

// copyGoMod puts a go.mod and our own go.sum into a checkout, with which gotch is
// found in the module cache.
func copyGoMod(t *testing.T, root string) {
	t.Helper()
	write(t, filepath.Join(root, "go.mod"), "module "+modulePath+"\n\ngo 1.26\n\nrequire "+gotchModule+" "+adapt.Version+"\n")
	text, err := os.ReadFile(filepath.Join(ownFolder, "..", "..", "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "go.sum"), string(text))
}

// ownFolder is this package's, before any test leaves it.
var ownFolder = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestLockFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	unlock, err := lockFolder(t.Context(), dir, progress.Printer{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := lockFolder(ctx, dir, progress.Printer{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second lock gives %v while the first holds", err)
	}
	var waited sync.WaitGroup
	waited.Go(func() {
		unlock, err := lockFolder(t.Context(), dir, progress.Printer{})
		if err == nil {
			err = unlock()
		}
		if err != nil {
			t.Errorf("waiting for the lock: %v", err)
		}
	})
	time.Sleep(50 * time.Millisecond)
	if err := unlock(); err != nil {
		t.Error(err)
	}
	waited.Wait()
}
