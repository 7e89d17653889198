package libtorch

import (
	"archive/zip"
	"debug/elf"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
)

// roots are the shared libraries that a program is linked with. What they need
// in turn is taken along where a wheel has it.
var roots = []string{"libtorch_cpu.so", "libc10.so"}

// unpack fills dir from the wheels: torch's headers, the libraries of roots, and
// whatever these are linked with. It notes the sizes of the libraries.
func unpack(dir string, wheels []string, sizes map[string]int64) error {
	libraries := map[string]*zip.File{}
	for i, name := range wheels {
		archive, err := zip.OpenReader(name)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(name), err)
		}
		defer archive.Close()
		for _, f := range archive.File {
			if strings.Contains(path.Base(f.Name), ".so") {
				libraries[path.Base(f.Name)] = f
			}
			// Headers come from torch's own wheel, the first.
			if header, found := strings.CutPrefix(f.Name, "torch/include/"); found && i == 0 && filepath.IsLocal(header) && !strings.HasSuffix(header, "/") {
				if err := bundle.Extract(f, filepath.Join(dir, "include", filepath.FromSlash(header))); err != nil {
					return err
				}
			}
		}
	}
	return takeLibraries(dir, libraries, sizes)
}

// takeLibraries extracts the roots and, over and over, what they are linked
// with. What no wheel has is the system's.
func takeLibraries(dir string, libraries map[string]*zip.File, sizes map[string]int64) error {
	for _, root := range roots {
		if libraries[root] == nil {
			return fmt.Errorf("unpack libtorch: no wheel has %s", root)
		}
	}
	wanted := append([]string(nil), roots...)
	for len(wanted) > 0 {
		name := wanted[0]
		wanted = wanted[1:]
		f := libraries[name]
		if f == nil || sizes["lib/"+name] != 0 {
			continue
		}
		to := filepath.Join(dir, "lib", name)
		if err := bundle.Extract(f, to); err != nil {
			return err
		}
		sizes["lib/"+name] = int64(f.UncompressedSize64)
		needed, err := linkedWith(to)
		if err != nil {
			return err
		}
		wanted = append(wanted, needed...)
	}
	return nil
}

func linkedWith(library string) ([]string, error) {
	f, err := elf.Open(library)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(library), err)
	}
	defer f.Close()
	names, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(library), err)
	}
	return names, nil
}
