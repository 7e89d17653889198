// Package wheel fetches files of the Python package index with pip, pinned by
// their hashes.
//
// pip is asked by platform and Python tag, so that neither the file nor its hash
// depends on the user's Python. It downloads, and installs nothing.
package wheel

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// Wheel is one file of the package index, pinned by its hash.
type Wheel struct {
	// Name and Version as pip's requirement has them.
	Name, Version string
	// Platform, Python and ABI are the tags that pip is asked for; empty Python
	// and ABI mean any. They do not depend on the Python that asks.
	Platform, Python, ABI string
	// File is the wheel's file name.
	File string
	// SHA256 of the file, in hexadecimal.
	SHA256 string
	// Size in bytes, for the progress and the check of free space.
	Size int64
	// Otherwise ends the sentences on what failed: what the user can do without
	// the wheel. It may be empty.
	Otherwise string
}

// Get returns the path of the wheel in dir, fetched unless it is there. A file
// with another hash is deleted.
func (w Wheel) Get(ctx context.Context, dir string, p progress.Printer) (string, error) {
	path := filepath.Join(dir, w.File)
	if sum, err := bundle.HashFile(path); err == nil && sum == w.SHA256 {
		return path, nil
	}
	if err := w.download(ctx, dir, p); err != nil {
		return "", err
	}
	sum, err := bundle.HashFile(path)
	if err != nil {
		return "", fmt.Errorf("pip did not leave %s: %w", w.File, err)
	}
	if sum != w.SHA256 {
		if err := os.Remove(path); err != nil {
			return "", err
		}
		return "", fmt.Errorf("the %s that pip fetched has SHA-256 %s, not the pinned %s: it was damaged on its way or the package index is not to be trusted; try again%s", w.File, sum, w.SHA256, w.or())
	}
	return path, nil
}

// or is Otherwise after what comes before it.
func (w Wheel) or() string {
	if w.Otherwise == "" {
		return ""
	}
	return ", or " + w.Otherwise
}
