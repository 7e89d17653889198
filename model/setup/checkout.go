package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// modulePath is the module whose checkout is set up.
const modulePath = "github.com/blipflow/blipflow"

var (
	moduleLine  = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	versionLine = regexp.MustCompile(`(?m)^go\s+(\S+)`)
)

// findRoot is the folder of the checkout around the working directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			if m := moduleLine.FindSubmatch(text); m != nil && string(m[1]) == modulePath {
				return dir, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not in a checkout of %s: run the set-up there", start, modulePath)
		}
	}
}

// goLine is the version of go in go.mod; go.work's may not be older.
func goLine(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	m := versionLine.FindSubmatch(text)
	if m == nil {
		return "", errors.New("go.mod has no go line")
	}
	return string(m[1]), nil
}

// workMark begins every go.work of ours.
const workMark = "// Written by make setup; do not edit."

func workText(goVersion string) []byte {
	return fmt.Appendf(nil, "%s\ngo %s\n\nuse .\n\nreplace %s => ./%s\n", workMark, goVersion, gotchModule, gotchFolder)
}

// writeWorkFile writes go.work unless it is as it should be.
func writeWorkFile(root, goVersion string) error {
	path := filepath.Join(root, "go.work")
	text := workText(goVersion)
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, text):
		return nil
	case err == nil && !bytes.HasPrefix(old, []byte(workMark)):
		return fmt.Errorf("%s is not the set-up's: add \"replace %s => ./%s\" to it, or move it away and run the set-up again", path, gotchModule, gotchFolder)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	return writeWhole(path, text)
}

// writeWhole writes a file aside and gives it its name when it is whole.
func writeWhole(path string, text []byte) error {
	aside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = aside.Write(text)
	err = errors.Join(err, aside.Chmod(0o644), aside.Close())
	if err == nil {
		err = os.Rename(aside.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(aside.Name()))
	}
	return nil
}
