package libtorch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/blipflow/blipflow/model/setup/internal/progress"
)

// ErrNoSpace is returned where the cache's disk is too full to fetch.
var ErrNoSpace = errors.New("too little disk space")

// manifestName is the file in a fetched libtorch that lists it. It is written
// before the folder gets its name, so a folder with the name is whole.
const manifestName = "blipflow.json"

// manifest says what a fetched folder was made of and holds.
type manifest struct {
	Wheels map[string]string `json:"wheels"` // file name to SHA-256
	Files  map[string]int64  `json:"files"`  // shared libraries to size
}

// Fetch returns the folder below cache with the pinned libtorch, which it
// fetches with pip and unpacks unless it is there and whole. The wheels are
// deleted once unpacked. The caller holds the cache's lock.
func Fetch(ctx context.Context, cache string, p progress.Printer) (string, error) {
	set, ok := pinned()
	if !ok {
		return "", fmt.Errorf("there is no libtorch to fetch for %s/%s: unpack one (pip download torch, or the zip from pytorch.org) and set LIBTORCH to its folder with lib and include", runtime.GOOS, runtime.GOARCH)
	}
	return set.fetch(ctx, cache, p)
}

func (set fetched) fetch(ctx context.Context, cache string, p progress.Printer) (string, error) {
	dir := filepath.Join(cache, "libtorch", fmt.Sprintf("torch-%s-%s-%s", set.wheels[0].version, runtime.GOOS, runtime.GOARCH))
	if set.whole(dir) {
		return dir, nil
	}
	downloads := filepath.Join(cache, "download")
	if err := os.MkdirAll(downloads, 0o777); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	if err := sweep(downloads, filepath.Dir(dir)); err != nil {
		return "", err
	}
	if err := set.checkSpace(downloads); err != nil {
		return "", err
	}
	var paths []string
	for _, w := range set.wheels {
		path, err := w.get(ctx, downloads, p)
		if err != nil {
			return "", err
		}
		paths = append(paths, path)
	}
	err := p.While("unpacking libtorch "+set.wheels[0].version, nil, func() error {
		return set.unpack(paths, dir)
	})
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return "", fmt.Errorf("remove an unpacked wheel: %w", err)
		}
	}
	return dir, nil
}

// sweep removes what an interrupted set-up left half done.
func sweep(folders ...string) error {
	for _, folder := range folders {
		for _, prefix := range []string{pipPrefix, unpackPrefix} {
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

// whole tells whether dir was unpacked from this set and lacks nothing.
func (set fetched) whole(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return false
	}
	var m manifest
	if json.Unmarshal(text, &m) != nil || len(m.Wheels) != len(set.wheels) {
		return false
	}
	for _, w := range set.wheels {
		if m.Wheels[w.file] != w.sha256 {
			return false
		}
	}
	for path, size := range m.Files {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil || info.Size() != size {
			return false
		}
	}
	return true
}

func (set fetched) checkSpace(dir string) error {
	need := set.unpacked
	for _, w := range set.wheels {
		if _, err := os.Stat(filepath.Join(dir, w.file)); err != nil {
			need += w.size
		}
	}
	free, err := freeSpace(dir)
	if err != nil || free >= need {
		return nil // where the system can't tell, the write will
	}
	return fmt.Errorf("%w: libtorch needs %d MB in %s, %d MB are free: make room, or set XDG_CACHE_HOME to a folder on another disk", ErrNoSpace, need/1e6, dir, free/1e6)
}

// get returns the path of the wheel in dir, fetched unless it is there. A file
// with another hash is deleted.
func (w wheel) get(ctx context.Context, dir string, p progress.Printer) (string, error) {
	path := filepath.Join(dir, w.file)
	if sum, err := hashFile(path); err == nil && sum == w.sha256 {
		return path, nil
	}
	if err := w.download(ctx, dir, p); err != nil {
		return "", err
	}
	sum, err := hashFile(path)
	if err != nil {
		return "", fmt.Errorf("pip did not leave %s: %w", w.file, err)
	}
	if sum != w.sha256 {
		if err := os.Remove(path); err != nil {
			return "", err
		}
		return "", fmt.Errorf("the %s that pip fetched has SHA-256 %s, not the pinned %s: it was damaged on its way or the package index is not to be trusted; try again, or set LIBTORCH", w.file, sum, w.sha256)
	}
	return path, nil
}

func hashFile(path string) (string, error) {
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
