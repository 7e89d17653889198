package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/model/setup/internal/adapt"
)

// gotchFolder is the adapted copy, in the root of the checkout.
const gotchFolder = ".gotch"

// Folders on their way in and out of the copy's place. Each holds a .gitignore
// that hides it, should it be left by an interruption.
const (
	comingPrefix = gotchFolder + ".coming-"
	goingPrefix  = gotchFolder + ".going-"
)

// install puts the copy in its place, or only its stamp where the copy is there
// already: Go need not compile it anew then.
func install(root string, module adapt.Files, s stamp) error {
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	place := filepath.Join(root, gotchFolder)
	if sum, err := hashCopy(place); err == nil && sum == s.Module {
		return writeWhole(filepath.Join(place, stampName), text)
	}
	if err := sweep(root); err != nil {
		return err
	}
	coming, err := os.MkdirTemp(root, comingPrefix)
	if err != nil {
		return fmt.Errorf("write the copy of gotch: %w", err)
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(coming, ".gitignore"), []byte("*\n"), 0o644),
		os.Chmod(coming, 0o755),
		module.Write(coming),
		os.WriteFile(filepath.Join(coming, stampName), text, 0o644),
	)
	if err == nil {
		err = swap(root, coming)
	}
	if err != nil {
		return fmt.Errorf("write the copy of gotch: %w", errors.Join(err, os.RemoveAll(coming)))
	}
	return sweep(root)
}

// swap gives the new folder the copy's name. A folder can't be renamed onto
// another that holds files, so the old one steps aside first; a crash between
// the two leaves no copy, which the next set-up notices.
func swap(root, coming string) error {
	place := filepath.Join(root, gotchFolder)
	going, err := os.MkdirTemp(root, goingPrefix)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(going, ".gitignore"), []byte("*\n"), 0o644); err != nil {
		return err
	}
	err = os.Rename(place, filepath.Join(going, "gotch"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(coming, place)
}

// sweep removes folders that were left on their way.
func sweep(root string) error {
	for _, prefix := range []string{comingPrefix, goingPrefix} {
		left, err := filepath.Glob(filepath.Join(root, prefix+"*"))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashCopy is the hash of the copy as it stands, without what is not gotch.
func hashCopy(place string) (string, error) {
	files := adapt.Files{}
	for _, folder := range []string{"", "libtch", "ts"} {
		entries, err := os.ReadDir(filepath.Join(place, folder))
		if err != nil {
			return "", err
		}
		for _, entry := range entries {
			name := entry.Name()
			if entry.IsDir() || folder == "" && (name == stampName || name == ".gitignore") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(place, folder, name))
			if err != nil {
				return "", err
			}
			path := name
			if folder != "" {
				path = folder + "/" + name
			}
			files[path] = text
		}
	}
	return files.Hash(), nil
}
