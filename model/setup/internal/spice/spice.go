// Package spice puts together the folder that SPICE is run from: its jar and the
// libraries out of the wheel of pycocoevalcap, Stanford CoreNLP 3.6.0, which the
// wheel has not, and the JavaScript engine with which the jar writes its output
// and which Java has no more since 15. These come from Maven's repository by
// their coordinates, with mvn, and are pinned by their hashes.
//
// Of CoreNLP's models, 378 MB, only what SPICE reads is kept, 115 MB. The scores
// are the same bytes.
//
// SPICE is under the AGPL, CoreNLP under the GPL. They are fetched for the user
// who asks for them, and are run as a process of their own; nothing of them is
// part of this project.
package spice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/pycocoevalcap"
)

// needed is what is written at most while the folder is made: what mvn fetches,
// its copy, and what is kept.
const needed = 950e6

// jars are the files that the folder is made of.
type jars struct {
	// wheel is the folder of pycocoevalcap.
	wheel     bundle.Bundle
	artifacts []artifact
}

// At is SPICE's folder below the cache.
func At(cache string) bundle.Bundle {
	return jars{pycocoevalcap.At(cache), artifacts}.at(cache)
}

func (j jars) at(cache string) bundle.Bundle {
	b := bundle.Bundle{Dir: filepath.Join(cache, "spice"), Sources: map[string]string{}}
	for name, sum := range j.wheel.Sources {
		b.Sources[name] = sum
	}
	for _, a := range j.artifacts {
		b.Sources[a.file()] = a.sha256
	}
	return b
}

// Fetch makes the folder unless it is there and whole. What mvn fetched is
// deleted then. The caller holds the cache's lock.
func Fetch(ctx context.Context, cache string, p progress.Printer) error {
	if At(cache).Whole() {
		return nil
	}
	// Before anything large is fetched.
	if err := findTools(); err != nil {
		return err
	}
	if err := pycocoevalcap.Fetch(ctx, cache, p); err != nil {
		return err
	}
	return jars{pycocoevalcap.At(cache), artifacts}.fetch(ctx, cache, p)
}

func (j jars) fetch(ctx context.Context, cache string, p progress.Printer) error {
	b := j.at(cache)
	// mvn's own repository below the cache: what an interruption leaves there is
	// used next time, and the user's does not grow.
	work := filepath.Join(cache, "download", "maven")
	if err := os.MkdirAll(work, 0o777); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	if err := bundle.Sweep([]string{cache}); err != nil {
		return err
	}
	if err := bundle.CheckSpace(work, "SPICE", needed); err != nil {
		return err
	}
	if err := copyArtifacts(ctx, work, j.artifacts, p); err != nil {
		return err
	}
	err := p.While("putting SPICE together", nil, func() error {
		return b.Make(func(dir string, files map[string]int64) error { return j.fill(work, dir, files) })
	})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove what mvn fetched: %w", err)
	}
	return nil
}

// fill puts the jars where the manifest of SPICE's jar has them: itself, and the
// rest in lib beside it.
func (j jars) fill(work, dir string, files map[string]int64) error {
	lib := filepath.Join(dir, "lib")
	if err := os.MkdirAll(lib, 0o777); err != nil {
		return err
	}
	if err := linkTree(filepath.Join(j.wheel.Dir, "spice"), dir); err != nil {
		return fmt.Errorf("take SPICE's jars: %w", err)
	}
	for _, a := range j.artifacts {
		from, to := filepath.Join(work, jarsFolder, a.file()), filepath.Join(lib, a.file())
		var err error
		if a.classifier == "models" {
			err = reduce(from, to)
		} else {
			err = copyFile(from, to)
		}
		if err != nil {
			return err
		}
	}
	return sizes(dir, files)
}

// linkTree gives the jars below a folder a second name below another, without a
// copy where the file system can.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".jar") {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		if os.Link(path, target) == nil {
			return nil
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// sizes notes what is in a folder.
func sizes(dir string, files map[string]int64) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rest)] = info.Size()
		return nil
	})
}
