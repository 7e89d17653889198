// Package bundle keeps folders of fetched files in the user's cache. A bundle is
// there whole or not at all: it is made aside, with a manifest of what it was
// made of and holds, and then takes its name.
//
// Limits: whoever makes a bundle holds the cache's lock. Whole looks at the sizes
// of the files, not at their bytes.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ManifestName is the file in a bundle that lists it. It is written before the
// folder gets its name, so a folder with the name is whole.
const ManifestName = "blipflow.json"

// asidePrefix begins the names of bundles that are being made.
const asidePrefix = ".unpack-"

// manifest says what a bundle was made of and holds.
type manifest struct {
	// Sources are the fetched files: name to SHA-256. The key is from when all
	// of them were wheels; a bundle that has it need not be fetched anew.
	Sources map[string]string `json:"wheels"`
	// Files are what Whole looks for: slash path to size.
	Files map[string]int64 `json:"files"`
}

// Bundle is a folder and what it is made of.
type Bundle struct {
	// Dir is its place.
	Dir string
	// Sources are the fetched files that it is made of: name to SHA-256.
	Sources map[string]string
}

// Whole tells whether the bundle is there, of these sources, and lacks nothing.
func (b Bundle) Whole() bool {
	text, err := os.ReadFile(filepath.Join(b.Dir, ManifestName))
	if err != nil {
		return false
	}
	var m manifest
	if json.Unmarshal(text, &m) != nil || len(m.Sources) != len(b.Sources) {
		return false
	}
	for name, sum := range b.Sources {
		if m.Sources[name] != sum {
			return false
		}
	}
	for path, size := range m.Files {
		info, err := os.Stat(filepath.Join(b.Dir, filepath.FromSlash(path)))
		if err != nil || info.Size() != size {
			return false
		}
	}
	return true
}

// Make puts the bundle in its place, instead of what is there. fill writes its
// files into the folder that it is given and notes in files those that matter,
// by slash path, with their sizes.
func (b Bundle) Make(fill func(dir string, files map[string]int64) error) (err error) {
	parent := filepath.Dir(b.Dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return fmt.Errorf("make %s: %w", b.Dir, err)
	}
	aside, err := os.MkdirTemp(parent, asidePrefix)
	if err != nil {
		return fmt.Errorf("make %s: %w", b.Dir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	m := manifest{Sources: b.Sources, Files: map[string]int64{}}
	if err := fill(aside, m.Files); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(aside, ManifestName), text, 0o666); err != nil {
		return err
	}
	if err := os.Chmod(aside, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(b.Dir); err != nil {
		return err
	}
	return os.Rename(aside, b.Dir)
}

// Sweep removes from the folders what an interruption left half made: bundles,
// and what has one of the prefixes.
func Sweep(folders []string, prefixes ...string) error {
	for _, folder := range folders {
		for _, prefix := range append(prefixes, asidePrefix) {
			left, err := filepath.Glob(filepath.Join(folder, prefix+"*"))
			if err != nil {
				return err
			}
			for _, path := range left {
				if err := os.RemoveAll(path); err != nil {
					return fmt.Errorf("clear the cache: %w", err)
				}
			}
		}
	}
	return nil
}

// HashFile is a file's SHA-256 in hexadecimal.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
