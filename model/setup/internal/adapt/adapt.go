// Package adapt makes a copy of gotch that works for blipflow.
//
// The published module stays as it is: what is changed is a copy that the
// set-up writes into an ignored folder and names in go.work. The changes are
// texts and counts of one version of gotch (Version); any other version, or an
// edited module cache, is an error that names the file, never a half-patched
// copy.
//
// What is changed, and why:
//
//   - cgo flags: gotch's are CUDA's paths. Ours name the libtorch that was
//     found, and a static library with gotch's C++ wrapper (package wrapper),
//     so that Go compiles C only.
//   - a tensor is its C handle: no 100 KB array, no finalizer (it could free an
//     operand during its call), no name in a map under a lock. TensorCount is
//     the number of live tensors.
//   - results of ops go into Go memory: each was written into an allocation of
//     no bytes that was never freed.
//   - in-place ops free the handle that they replace: it kept the memory of the
//     tensor for ever.
//   - the arrays of list-valued ops and the C copies of strings are freed.
//   - empty lists and shapes are allowed.
//   - grad mode, device and learning rates are read at the width C gives them;
//     NoGrad restores the mode that was; RunBackward hands over whole lists.
//   - a scalar lives through the call that reads it, and Drop frees it.
//   - errors carry libtorch's text and no Go stack; importing gotch makes no
//     folder in the home folder.
//   - the generated bindings stand in parts, which cgo reads ten times as fast.
//   - additions in ts/blipflow.go, for what has no binding.
//
// The wrappers of TorchScript modules (ts/jit.go) are as gotch has them.
package adapt

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Version is the gotch that the changes were written for.
const Version = "v0.9.1"

//go:embed all:_overlay
var overlay embed.FS

// Files are the files of a folder by slash-separated path.
type Files map[string][]byte

// Flags are what the copy's cgo directives say.
type Flags struct {
	// LibDir holds libtorch_cpu and libc10. It becomes the run path.
	LibDir string
	// Archive is the static library with the C++ wrapper.
	Archive string
	// Libraries are the linker's flags for libtorch and what the wrapper needs.
	Libraries []string
}

// Wrapper returns the sources of the C++ wrapper: gotch's, unchanged, and our
// additions. dir is the module's folder in the module cache.
func Wrapper(dir string) (Files, error) {
	made := Files{}
	for _, pattern := range []string{"*.h", "*.cpp"} {
		if err := readInto(made, os.DirFS(filepath.Join(dir, "libtch")), pattern, ""); err != nil {
			return nil, fmt.Errorf("read gotch: %w", err)
		}
	}
	if len(made["torch_api.cpp"]) == 0 || len(made["torch_api_generated.cpp.h"]) == 0 {
		return nil, fmt.Errorf("read gotch: %s has no C++ wrapper in libtch", dir)
	}
	for _, name := range []string{"_overlay/libtch/blipflow_api.h", "_overlay/wrapper/blipflow_api.cpp"} {
		text, err := overlay.ReadFile(name)
		if err != nil {
			return nil, err
		}
		made[name[strings.LastIndexByte(name, '/')+1:]] = text
	}
	return made, nil
}

// Module returns the adapted copy of the module in dir, without its tests,
// examples and C++ sources.
func Module(dir string, flags Flags) (Files, error) {
	made, err := publish(dir)
	if err != nil {
		return nil, err
	}
	for path, patch := range patches {
		s := &source{path: path, text: made[path]}
		if s.text == nil {
			return nil, fmt.Errorf("adapt gotch %s: %s is not there", Version, path)
		}
		if patch(s); s.err != nil {
			return nil, fmt.Errorf("adapt gotch %s: %w", Version, s.err)
		}
		made[path] = s.text
	}
	if err := splitBindings(made); err != nil {
		return nil, fmt.Errorf("adapt gotch %s: %w", Version, err)
	}
	for _, folder := range []string{"libtch", "ts"} {
		if err := readInto(made, overlay, "_overlay/"+folder+"/*", folder+"/"); err != nil {
			return nil, err
		}
	}
	if made["libtch/lib.go"], err = cgoDirectives(flags); err != nil {
		return nil, err
	}
	return made, nil
}

// publish reads the part of the module that is copied.
func publish(dir string) (Files, error) {
	made := Files{}
	for _, part := range []struct{ pattern, under string }{
		{"go.mod", ""}, {"go.sum", ""}, {"LICENSE", ""}, {"*.go", ""},
		{"libtch/*.go", "libtch/"}, {"libtch/torch_api.h", "libtch/"},
		{"libtch/torch_api_generated.h", "libtch/"}, {"ts/*.go", "ts/"},
	} {
		if err := readInto(made, os.DirFS(dir), part.pattern, part.under); err != nil {
			return nil, fmt.Errorf("read gotch: %w", err)
		}
	}
	for path := range made {
		if strings.HasSuffix(path, "_test.go") {
			delete(made, path)
		}
	}
	return made, nil
}

func readInto(made Files, from fs.FS, pattern, under string) error {
	paths, err := fs.Glob(from, pattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		made[under+path[strings.LastIndexByte(path, '/')+1:]] = text
	}
	return nil
}

// cgoDirectives writes libtch/lib.go. Go's quoting in these lines knows no
// escapes, and the linker splits -Wl at commas.
func cgoDirectives(flags Flags) ([]byte, error) {
	for _, path := range []string{flags.LibDir, flags.Archive} {
		if strings.ContainsAny(path, "'\",\\$\n") {
			return nil, fmt.Errorf("the path %q has a quote, comma, dollar or backslash that the linker flags can't carry: set XDG_CACHE_HOME or LIBTORCH to another folder", path)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `// Written by blipflow's set-up: run "make setup" to remake it.

package libtch

// #cgo CFLAGS: -I${SRCDIR} -O1 -g0 -w
// #cgo LDFLAGS: "%s"
// #cgo LDFLAGS: "-L%s" "-Wl,-rpath,%s" %s
import "C"
`, flags.Archive, flags.LibDir, flags.LibDir, strings.Join(flags.Libraries, " "))
	return b.Bytes(), nil
}

// Hash is a hash over paths and contents.
func (f Files) Hash() string {
	h := sha256.New()
	for _, path := range f.paths() {
		sum := sha256.Sum256(f[path])
		fmt.Fprintf(h, "%x %s\n", sum, path)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Write writes the files below dir, which it makes.
func (f Files) Write(dir string) error {
	for _, path := range f.paths() {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(full, f[path], 0o666); err != nil {
			return err
		}
	}
	return nil
}

func (f Files) paths() []string {
	paths := make([]string, 0, len(f))
	for path := range f {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	return paths
}
