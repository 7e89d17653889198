package libtorch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/blipflow/blipflow/model/setup/internal/bundle"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/wheel"
)

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
	b := set.bundle(cache)
	if b.Whole() {
		return b.Dir, nil
	}
	downloads := filepath.Join(cache, "download")
	if err := os.MkdirAll(downloads, 0o777); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	if err := bundle.Sweep([]string{downloads, filepath.Dir(b.Dir)}, wheel.TemporaryPrefix); err != nil {
		return "", err
	}
	if err := set.checkSpace(downloads); err != nil {
		return "", err
	}
	var paths []string
	for _, w := range set.wheels {
		path, err := w.Get(ctx, downloads, p)
		if err != nil {
			return "", err
		}
		paths = append(paths, path)
	}
	err := p.While("unpacking libtorch "+set.wheels[0].Version, nil, func() error {
		return b.Make(func(dir string, files map[string]int64) error { return unpack(dir, paths, files) })
	})
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return "", fmt.Errorf("remove an unpacked wheel: %w", err)
		}
	}
	return b.Dir, nil
}

// bundle is the fetched folder.
func (set fetched) bundle(cache string) bundle.Bundle {
	b := bundle.Bundle{
		Dir:     filepath.Join(cache, "libtorch", fmt.Sprintf("torch-%s-%s-%s", set.wheels[0].Version, runtime.GOOS, runtime.GOARCH)),
		Sources: map[string]string{},
	}
	for _, w := range set.wheels {
		b.Sources[w.File] = w.SHA256
	}
	return b
}

func (set fetched) checkSpace(dir string) error {
	need := set.unpacked
	for _, w := range set.wheels {
		if _, err := os.Stat(filepath.Join(dir, w.File)); err != nil {
			need += w.Size
		}
	}
	return bundle.CheckSpace(dir, "libtorch", need)
}
