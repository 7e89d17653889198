package libtorch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// write makes a file below dir with its folders.
func write(t *testing.T, dir, path, text string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// libraries is a folder with small shared libraries, compiled once: libc10.so,
// old/libc10.so with the old ABI, and a libtorch_cpu.so that is linked with it
// and two more.
func libraries(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++ to make small libraries with")
	}
	dir, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var compiled = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "libraries")
	const c10 = "#include <string>\nnamespace c10 { void warn(const std::string &s) {} }\n"
	for _, l := range []struct {
		file, source string
		flags        []string
	}{
		{"libgomp.so.1", "void parallel() {}\n", nil},
		{"libcudart.so.13", "void cuda() {}\n", nil},
		{"libc10.so", c10, nil},
		{"old/libc10.so", c10, []string{"-D_GLIBCXX_USE_CXX11_ABI=0"}},
		{"libtorch_cpu.so", "void torch() {}\n", []string{"-L" + dir, "-Wl,--no-as-needed", "-lc10", "-l:libgomp.so.1", "-l:libcudart.so.13"}},
	} {
		to := filepath.Join(dir, l.file)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return "", err
		}
		if err := os.WriteFile(to+".cpp", []byte(l.source), 0o666); err != nil {
			return "", err
		}
		arguments := append([]string{"-shared", "-fPIC", "-Wl,-soname," + filepath.Base(to), "-o", to, to + ".cpp"}, l.flags...)
		if out, err := exec.Command("g++", arguments...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
	}
	return dir, nil
})

// scratch holds what is made once for all tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "libtorch-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// read is a small library's bytes.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(libraries(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const header211 = "#pragma once\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n"

// folder makes what Inspect looks at.
func folder(t *testing.T, versionHeader, version, standard string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "lib/libc10.so", read(t, "libc10.so"))
	write(t, dir, "lib/libtorch_cpu.so", "not looked into")
	write(t, dir, versionHeader, version)
	write(t, dir, "include/ATen/ATen.h", "#error C++17 or later compatible compiler is required to use ATen.\n")
	write(t, dir, "include/torch/csrc/api/include/torch/all.h", "#error C++"+standard+" or later compatible compiler is required to use PyTorch.\n")
	return dir
}

func TestInspect(t *testing.T) {
	old := "include/torch/csrc/api/include/torch/version.h"
	tests := []struct {
		name, header, version, standard string
		want                            Library
	}{
		{"header of 2.1", old, strings.ReplaceAll(header211, "MINOR 11", "MINOR 1"), "17", Library{Version: "2.1.0", Standard: 17, ABI: 1}},
		{"header of 2.11", versionHeaders[0], header211, "17", Library{Version: "2.11.0", Standard: 17, ABI: 1}},
		{"C++20", versionHeaders[0], strings.ReplaceAll(header211, "MINOR 11", "MINOR 15"), "20", Library{Version: "2.15.0", Standard: 20, ABI: 1}},
		{"a third major version", versionHeaders[0], strings.ReplaceAll(header211, "MAJOR 2", "MAJOR 3"), "20", Library{Version: "3.11.0", Standard: 20, ABI: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, test.header, test.version, test.standard)
			got, err := Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			if test.want.Dir = dir; got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestInspectOldABI(t *testing.T) {
	dir := folder(t, versionHeaders[0], header211, "17")
	write(t, dir, "lib/libc10.so", read(t, "old/libc10.so"))
	got, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.ABI != 0 {
		t.Errorf("the ABI is %d, the library has the old one", got.ABI)
	}
}

func TestInspectRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(dir string) error
		want   string
		is     error
	}{
		{"no folder", os.RemoveAll, "is no libtorch: lib/libtorch_cpu.so is not there", nil},
		{"no c10", func(dir string) error { return os.Remove(filepath.Join(dir, "lib", "libc10.so")) }, "lib/libc10.so is not there", nil},
		{"no headers", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "include")) }, "version.h is not there", nil},
		{"2.0", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, filepath.FromSlash(versionHeaders[0])), []byte(strings.ReplaceAll(header211, "MINOR 11", "MINOR 0")), 0o666)
		}, "is 2.0.0, 2.1 or newer is needed", ErrTooOld},
		{"1.13", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, filepath.FromSlash(versionHeaders[0])), []byte(strings.ReplaceAll(header211, "MAJOR 2", "MAJOR 1")), 0o666)
		}, "is 1.11.0", ErrTooOld},
		{"c10 is no library", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "lib", "libc10.so"), bytes.Repeat([]byte("text"), 64), 0o666)
		}, "bad magic", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, versionHeaders[0], header211, "17")
			if err := test.change(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Inspect(dir)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, not one with %q", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("the error is %v, not %v", err, test.is)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	dir := folder(t, versionHeaders[0], header211, "17")
	library, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := library.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if !Unchanged(files) {
		t.Error("untouched files count as changed")
	}
	if Unchanged(nil) {
		t.Error("no files count as unchanged")
	}
	path := filepath.Join(dir, "lib", "libtorch_cpu.so")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if Unchanged(files) {
		t.Error("a file with another time counts as unchanged")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if Unchanged(files) {
		t.Error("a file that is gone counts as unchanged")
	}
}

func TestHeaderHash(t *testing.T) {
	library := Library{Dir: folder(t, versionHeaders[0], header211, "17")}
	hash := func() string {
		sum, err := library.HeaderHash()
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	before := hash()
	if hash() != before {
		t.Error("two hashes of the same headers differ")
	}
	write(t, library.Dir, "include/ATen/ATen.h", "// changed\n")
	if hash() == before {
		t.Error("a changed header leaves the hash as it was")
	}
}
