package spice

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// folderPrefix begins the names of the folders that processes work in.
const folderPrefix = "blipflow-spice-"

// lockName is a file in such a folder that is locked while it is used.
const lockName = "lock"

func (c Config) temp() string {
	if c.Temp != "" {
		return c.Temp
	}
	return os.TempDir()
}

// makeFolder makes a folder for a process, which writes beside its input.
func makeFolder(temp string) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp(temp, folderPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for Java: %w", err)
	}
	// Absolute, since Java runs in it.
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	unlock, err := tryLock(filepath.Join(dir, lockName))
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("make a folder for Java: %w", err), os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), unlock()) }, nil
}

// sweep removes folders whose process was killed with ours. Those that are new
// may not be locked yet. What can't be removed is not ours.
func sweep(temp string) {
	left, _ := filepath.Glob(filepath.Join(escape(temp), folderPrefix+"*"))
	for _, dir := range left {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		unlock, err := tryLock(filepath.Join(dir, lockName))
		if err != nil {
			continue
		}
		_ = os.RemoveAll(dir)
		_ = unlock()
	}
}

// cacheName begins the names of the parts of a cache. It has what the parses
// depend on.
const cacheName = "spice-1.0-corenlp-3.6.0-"

// takePart takes the first part of the cache that no process uses. The jar's
// database can't be shared.
func takePart(cache string) (dir string, release func() error, err error) {
	cache, err = filepath.Abs(cache)
	if err != nil {
		return "", nil, fmt.Errorf("take the cache of parses: %w", err)
	}
	for n := 0; ; n++ {
		dir = filepath.Join(cache, cacheName+strconv.Itoa(n))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return "", nil, fmt.Errorf("take the cache of parses: %w", err)
		}
		unlock, err := tryLock(dir + ".lock")
		if err == nil {
			return dir, unlock, nil
		}
		if !errors.Is(err, errLocked) {
			return "", nil, fmt.Errorf("take the cache of parses: %w", err)
		}
	}
}

// errLocked says that somebody else has a lock.
var errLocked = errors.New("locked")
