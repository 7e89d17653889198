// Package libtorch finds the C++ side of PyTorch: a folder that somebody
// unpacked, the one in a Python installation, or one of our own that it makes
// out of wheels fetched with pip.
//
// Limits: Linux on amd64 and arm64 can fetch; elsewhere a folder must be named.
// The fetched one is for the CPU. Any libtorch from 2.1 on is taken; what it is
// called with is up to package wrapper.
package libtorch

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ErrTooOld is returned for a libtorch before 2.1.
var ErrTooOld = errors.New("libtorch is too old")

// Library is a libtorch that was found.
type Library struct {
	// Dir is its folder, with lib and include, absolute.
	Dir string
	// Version is "2.11.0", from its headers.
	Version string
	// Standard is the oldest C++ standard that its headers allow: 17 or 20.
	Standard int
	// ABI is the value of _GLIBCXX_USE_CXX11_ABI that it was compiled with, or
	// -1 where that has no meaning (macOS).
	ABI int
}

// Lib is the folder of the shared libraries.
func (l Library) Lib() string { return filepath.Join(l.Dir, "lib") }

// Includes are the folders of the headers.
func (l Library) Includes() []string {
	include := filepath.Join(l.Dir, "include")
	return []string{include, filepath.Join(include, "torch", "csrc", "api", "include")}
}

// SharedName is the file name of a shared library on this system.
func SharedName(name string) string {
	if runtime.GOOS == "darwin" {
		return "lib" + name + ".dylib"
	}
	return "lib" + name + ".so"
}

// Inspect reads what a libtorch says of itself. An error tells what the folder
// lacks; it wraps ErrTooOld for a version before 2.1.
func Inspect(dir string) (Library, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Library{}, err
	}
	l := Library{Dir: dir, ABI: -1}
	for _, name := range []string{"torch_cpu", "c10"} {
		if _, err := os.Stat(filepath.Join(l.Lib(), SharedName(name))); err != nil {
			return Library{}, fmt.Errorf("%s is no libtorch: lib/%s is not there", dir, SharedName(name))
		}
	}
	if l.Version, err = readVersion(l); err != nil {
		return Library{}, err
	}
	if l.Standard, err = readStandard(l); err != nil {
		return Library{}, err
	}
	if runtime.GOOS != "darwin" {
		if l.ABI, err = readABI(filepath.Join(l.Lib(), SharedName("c10"))); err != nil {
			return Library{}, err
		}
	}
	return l, nil
}

// versionHeaders are where the version has been defined, newest first.
var versionHeaders = []string{
	"include/torch/headeronly/version.h",
	"include/torch/csrc/api/include/torch/version.h",
}

var versionPart = regexp.MustCompile(`(?m)^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) (\d+)`)

func readVersion(l Library) (string, error) {
	for _, header := range versionHeaders {
		text, err := os.ReadFile(filepath.Join(l.Dir, filepath.FromSlash(header)))
		if err != nil {
			continue
		}
		part := map[string]int{}
		for _, m := range versionPart.FindAllStringSubmatch(string(text), -1) {
			part[m[1]], _ = strconv.Atoi(m[2]) // the pattern has digits only
		}
		if len(part) != 3 {
			continue
		}
		version := fmt.Sprintf("%d.%d.%d", part["MAJOR"], part["MINOR"], part["PATCH"])
		if part["MAJOR"] < 2 || part["MAJOR"] == 2 && part["MINOR"] < 1 {
			return "", fmt.Errorf("%w: %s is %s, 2.1 or newer is needed", ErrTooOld, l.Dir, version)
		}
		return version, nil
	}
	return "", fmt.Errorf("%s is no libtorch: include/torch/csrc/api/include/torch/version.h is not there or names no version from 1.8 on (a folder with the headers is needed)", l.Dir)
}

var standardNeeded = regexp.MustCompile(`#error C\+\+(\d\d) or later`)

func readStandard(l Library) (int, error) {
	standard := 17
	for _, header := range []string{"ATen/ATen.h", "torch/csrc/api/include/torch/all.h"} {
		text, err := os.ReadFile(filepath.Join(l.Dir, "include", filepath.FromSlash(header)))
		if err != nil {
			return 0, fmt.Errorf("%s is no libtorch: %w", l.Dir, err)
		}
		for _, m := range standardNeeded.FindAllStringSubmatch(string(text), -1) {
			if n, _ := strconv.Atoi(m[1]); n > standard {
				standard = n
			}
		}
	}
	return standard, nil
}

// readABI tells which of libstdc++'s two std::string types the library was
// compiled with, from the names of its functions: the newer one is
// std::__cxx11::basic_string. Wheels before 2.6 have the older.
func readABI(library string) (int, error) {
	f, err := elf.Open(library)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", library, err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", library, err)
	}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && strings.HasPrefix(s.Name, "_ZN3c10") && strings.Contains(s.Name, "__cxx11") {
			return 1, nil
		}
	}
	return 0, nil
}

// File is what a file looked like, to notice that it was changed.
type File struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Identity looks at the files that tell one libtorch from another.
func (l Library) Identity() ([]File, error) {
	var files []File
	paths := []string{
		filepath.Join(l.Lib(), SharedName("torch_cpu")),
		filepath.Join(l.Lib(), SharedName("c10")),
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()})
	}
	return files, nil
}

// Unchanged tells whether the files still look as they did.
func Unchanged(files []File) bool {
	for _, f := range files {
		info, err := os.Stat(f.Path)
		if err != nil || info.Size() != f.Size || !info.ModTime().Equal(f.Modified) {
			return false
		}
	}
	return len(files) > 0
}

// HeaderHash is a hash over all headers, for what is compiled against them.
func (l Library) HeaderHash() (string, error) {
	h := sha256.New()
	root := filepath.Join(l.Dir, "include")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintf(h, "%s\n", strings.TrimPrefix(path, root))
		_, err = io.Copy(h, f)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the headers of libtorch: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
