// Package pycocoevalcap fetches what METEOR and SPICE need of the Python package
// of that name, version 1.2, whose numbers ours are: METEOR's jar and its table
// of paraphrases, SPICE's jar and the libraries beside it. None of it is run
// here, and no Python is installed.
//
// The wheel holds no licence text of its own. METEOR is under the LGPL, SPICE
// under the AGPL with its text inside the jar; they are fetched for the user who
// asks, and are not part of this project.
package pycocoevalcap

import (
	"archive/zip"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/wheel"
)

// Version is the package's.
const Version = "1.2"

// unpacked is about what stays of the wheel, in bytes.
const unpacked = 99e6

var pinned = wheel.Wheel{
	Name: "pycocoevalcap", Version: Version, Platform: "any",
	File:   "pycocoevalcap-1.2-py3-none-any.whl",
	SHA256: "083ed7910f1aec000b0a237ef6665f74edf19954204d0b1cbdb8399ed132228d",
	Size:   104312215,
}

// At is the package's folder below the cache, with meteor and spice in it.
func At(cache string) bundle.Bundle { return at(cache, pinned) }

func at(cache string, w wheel.Wheel) bundle.Bundle {
	return bundle.Bundle{
		Dir:     filepath.Join(cache, w.Name+"-"+w.Version),
		Sources: map[string]string{w.File: w.SHA256},
	}
}

// Fetch makes the folder unless it is there and whole. The wheel is deleted once
// unpacked. The caller holds the cache's lock.
func Fetch(ctx context.Context, cache string, p progress.Printer) error {
	return fetch(ctx, cache, pinned, p)
}

func fetch(ctx context.Context, cache string, w wheel.Wheel, p progress.Printer) error {
	b := at(cache, w)
	if b.Whole() {
		return nil
	}
	downloads := filepath.Join(cache, "download")
	if err := os.MkdirAll(downloads, 0o777); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	if err := bundle.Sweep([]string{downloads, cache}, wheel.TemporaryPrefix); err != nil {
		return err
	}
	if err := bundle.CheckSpace(downloads, w.Name, w.Size+unpacked); err != nil {
		return err
	}
	file, err := w.Get(ctx, downloads, p)
	if err != nil {
		return err
	}
	err = b.Make(func(dir string, files map[string]int64) error { return unpack(file, dir, files) })
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("remove an unpacked wheel: %w", err)
	}
	return nil
}

// unpack takes the members that are wanted.
func unpack(file, dir string, files map[string]int64) error {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
	}
	defer archive.Close()
	for _, f := range archive.File {
		name := wanted(f.Name)
		if name == "" {
			continue
		}
		if err := bundle.Extract(f, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return err
		}
		files[name] = int64(f.UncompressedSize64)
	}
	for _, name := range []string{"meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz", "spice/spice-1.0.jar"} {
		if files[name] == 0 {
			return fmt.Errorf("unpack %s: it has no %s", filepath.Base(file), name)
		}
	}
	return nil
}

// wanted is where a member goes, by slash path, or empty: the jars and tables
// of the two metrics, and whatever speaks of licences.
func wanted(member string) string {
	if !filepath.IsLocal(member) || strings.HasSuffix(member, "/") {
		return ""
	}
	folder, rest, _ := strings.Cut(member, "/")
	base := strings.ToUpper(path.Base(member))
	for _, word := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "METADATA"} {
		if strings.HasPrefix(base, word) {
			return rest
		}
	}
	if folder != "pycocoevalcap" || !strings.HasPrefix(rest, "meteor/") && !strings.HasPrefix(rest, "spice/") {
		return ""
	}
	if ext := path.Ext(rest); ext != ".jar" && ext != ".gz" {
		return ""
	}
	return rest
}
