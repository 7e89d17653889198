package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// localFile is a file that is uploaded.
type localFile struct {
	name     string // in the repository
	path     string
	size     int64
	modified time.Time

	// What the hub says of it.
	large   bool   // it goes into large file storage
	ignored bool   // by .gitignore
	known   string // the hash of what the branch has under the name; empty: nothing

	sum string // SHA-256, of a large one
}

// keptBack tells the files and folders that git and huggingface_hub have for
// themselves.
func keptBack(name string) bool {
	return strings.HasSuffix("/"+name, "/.git") || strings.HasSuffix("/"+name, "/.cache/huggingface")
}

// filesOf lists what is uploaded of a folder, by name.
func (c *Client) filesOf(folder string, ignore []string) ([]*localFile, error) {
	ignored := Match(ignore...)
	var files []*localFile
	// A folder that is a link itself is one all the same.
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case name == "." && !entry.IsDir():
			return errors.New("it is not a folder")
		case name == ".":
			return nil
		case entry.IsDir() && keptBack(name):
			return fs.SkipDir
		case entry.IsDir() || keptBack(name) || ignored(name):
			return nil
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			c.warn("%s is not uploaded: it is a link to a folder, or no file", path)
			return nil
		}
		if err := uploadable(name); err != nil {
			return err
		}
		files = append(files, &localFile{name: name, path: path, size: info.Size(), modified: info.ModTime()})
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(files) == 0:
		return nil, errors.New("there are no files to upload in it")
	}
	return files, nil
}

// uploadable refuses names that the hub does.
func uploadable(name string) error {
	if !validName(name) {
		return fmt.Errorf("the hub takes no file of the name %q: ignore or rename it", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".cache" {
			return fmt.Errorf("the hub takes no file in a folder .cache: ignore %q", name)
		}
	}
	return nil
}

// errChanged is why a file cannot be uploaded whose hash was another's.
var errChanged = errors.New("the file was changed while it was uploaded")

// unchanged fails where the file is not the one that was listed.
func (f *localFile) unchanged() error {
	info, err := os.Stat(f.path)
	if err == nil && (info.Size() != f.size || !info.ModTime().Equal(f.modified)) {
		err = errChanged
	}
	return err
}

// sampleSize is how much of a file the hub sees to tell a text.
const sampleSize = 512

// sample reads the start of the file.
func (f *localFile) sample() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, min(f.size, sampleSize)))
}

// digest reads the whole file for its SHA-256 if it is large, or else git's
// SHA-1.
func (f *localFile) digest(ctx context.Context) (string, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := gitHash(f.size)
	if f.large {
		h = sha256.New()
	}
	n, err := io.Copy(h, within(ctx, file))
	switch {
	case err != nil:
		return "", err
	case n != f.size:
		return "", errChanged
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
