// Package wrapper compiles gotch's C++ wrapper against a libtorch into a static
// library, once for each pair of them.
//
// gotch's wrapper was written for libtorch 2.1. In a newer one some functions
// take other arguments, and those forwards do not compile. Their bodies are
// replaced by a throw: calling one from Go gives an error that says so, and the
// other 2,500 work. Which they are is read out of the compiler's messages, so
// no list of versions has to be kept.
//
// The library is kept in the user's cache under a hash of everything that went
// into it. So Go compiles C only, and a second checkout compiles no C++.
package wrapper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/blipflow/blipflow/model/setup/internal/adapt"
	"github.com/blipflow/blipflow/model/setup/internal/libtorch"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// Archive is a compiled wrapper.
type Archive struct {
	// Path of the static library. It differs whenever its content does, as Go's
	// build cache does not look into it.
	Path string `json:"path"`
	// Stubbed are the C functions that this libtorch has no more as gotch calls
	// them, in order of name.
	Stubbed []string `json:"stubbed"`
	// Standard is the C++ standard it was compiled as.
	Standard int `json:"standard"`
	// Compiler is the first line of the compiler's version.
	Compiler string `json:"compiler"`
	// Seconds is how long the compilation took.
	Seconds float64 `json:"seconds"`
}

// Build is what a wrapper is compiled from and with.
type Build struct {
	// Sources are the wrapper's, from adapt.Wrapper.
	Sources adapt.Files
	// Library is the libtorch to compile against.
	Library libtorch.Library
	// Compiler is the C++ compiler.
	Compiler Compiler
	// Cache is the folder that holds compiled wrappers.
	Cache string
	// Progress shows that it goes on; the zero value is silent.
	Progress progress.Printer
}

const (
	archiveName = "libgotch.a"
	recordName  = "wrapper.json"
	asidePrefix = ".compile-"
	// unit is the one translation unit: libtorch's headers take 20 seconds to
	// read, so they are read once for both sources.
	unit     = "gotch.cpp"
	unitText = "#include \"torch_api.cpp\"\n#include \"blipflow_api.cpp\"\n"
)

// Archive returns the compiled wrapper, compiling it unless the cache has it.
// That libtorch loads is made sure of either way. The caller holds the cache's
// lock.
func (b Build) Archive(ctx context.Context) (Archive, error) {
	if err := os.MkdirAll(b.Cache, 0o777); err != nil {
		return Archive{}, fmt.Errorf("make the cache: %w", err)
	}
	if err := sweep(b.Cache); err != nil {
		return Archive{}, err
	}
	key, err := b.key()
	if err != nil {
		return Archive{}, err
	}
	if err := b.loads(ctx); err != nil {
		return Archive{}, err
	}
	dir := filepath.Join(b.Cache, key)
	if made, err := read(dir); err == nil {
		return made, nil
	}
	made, err := b.compile(ctx, dir)
	if err != nil {
		return Archive{}, err
	}
	return made, nil
}

// key is a hash over everything that decides what the library holds.
func (b Build) key() (string, error) {
	headers, err := b.Library.HeaderHash()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, b.Sources.Hash(), unitText, headers, b.Library.Version, b.Library.ABI, b.Compiler.Version)
	fmt.Fprintln(h, b.flags("DIR"))
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// flags are the compiler's, with the folder of libtorch as given.
func (b Build) flags(dir string) []string {
	l := b.Library
	l.Dir = dir
	flags := []string{fmt.Sprintf("-std=c++%d", l.Standard), "-O1", "-fPIC", "-w", "-I."}
	if l.ABI >= 0 {
		flags = append(flags, fmt.Sprintf("-D_GLIBCXX_USE_CXX11_ABI=%d", l.ABI))
	}
	if b.Compiler.Clang {
		flags = append(flags, "-ferror-limit=0")
	} else {
		flags = append(flags, "-fmax-errors=0")
	}
	for _, include := range l.Includes() {
		flags = append(flags, "-isystem", include)
	}
	return flags
}

func read(dir string) (Archive, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return Archive{}, err
	}
	var a Archive
	if err := json.Unmarshal(text, &a); err != nil {
		return Archive{}, err
	}
	a.Path = filepath.Join(dir, archiveName)
	_, err = os.Stat(a.Path)
	return a, err
}

// compile makes dir, whole or not at all.
func (b Build) compile(ctx context.Context, dir string) (made Archive, err error) {
	aside, err := os.MkdirTemp(b.Cache, asidePrefix)
	if err != nil {
		return Archive{}, fmt.Errorf("compile the wrapper: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	if err := b.Sources.Write(aside); err != nil {
		return Archive{}, err
	}
	if err := os.WriteFile(filepath.Join(aside, unit), []byte(unitText), 0o666); err != nil {
		return Archive{}, err
	}
	made = Archive{Standard: b.Library.Standard, Compiler: b.Compiler.Version}
	if err := b.compileStubbing(ctx, aside, &made); err != nil {
		return Archive{}, err
	}
	if err := archive(ctx, aside); err != nil {
		return Archive{}, err
	}
	if err := b.check(ctx, aside); err != nil {
		return Archive{}, err
	}
	return finish(made, aside, dir)
}

// sweep removes what an interrupted compilation left.
func sweep(cache string) error {
	left, err := filepath.Glob(filepath.Join(cache, asidePrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("clear the cache: %w", err)
		}
	}
	return nil
}

func archive(ctx context.Context, dir string) error {
	ar := exec.CommandContext(ctx, "ar", "rcs", archiveName, "gotch.o")
	ar.Dir = dir
	out, err := ar.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("ar was not found: install it (Debian, Ubuntu: apt install binutils; Fedora: dnf install binutils; macOS: xcode-select --install)")
	}
	if err != nil {
		return fmt.Errorf("make %s: %w: %s", archiveName, err, out)
	}
	return nil
}

// finish moves what is kept of aside to dir.
func finish(made Archive, aside, dir string) (Archive, error) {
	kept := filepath.Join(aside, "kept")
	if err := os.Mkdir(kept, 0o777); err != nil {
		return Archive{}, err
	}
	if err := os.Rename(filepath.Join(aside, archiveName), filepath.Join(kept, archiveName)); err != nil {
		return Archive{}, err
	}
	made.Path = filepath.Join(dir, archiveName)
	text, err := json.MarshalIndent(made, "", "\t")
	if err != nil {
		return Archive{}, err
	}
	if err := os.WriteFile(filepath.Join(kept, recordName), text, 0o666); err != nil {
		return Archive{}, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return Archive{}, err
	}
	if err := os.Rename(kept, dir); err != nil {
		return Archive{}, err
	}
	return made, nil
}
