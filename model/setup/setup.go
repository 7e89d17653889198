package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/blipflow/blipflow/model/setup/internal/adapt"
	"github.com/blipflow/blipflow/model/setup/internal/libtorch"
	"github.com/blipflow/blipflow/model/setup/internal/progress"
	"github.com/blipflow/blipflow/model/setup/internal/wrapper"
)

// request is what the user asked for.
type request struct {
	// libtorch is a folder, or empty.
	libtorch string
	// usePyTorch asks for the torch of python3.
	usePyTorch bool
	// fetch asks for the pinned wheel whatever else is said.
	fetch bool
	// scorers asks for the jars of METEOR and SPICE that are in a wheel, too.
	scorers bool
}

// How a libtorch was come by, in the words that the user reads.
const (
	fromVariable = "LIBTORCH"
	fromPython   = "python3's torch"
	fromWheel    = "the pinned wheel"
)

// setUp brings the checkout around the working directory up to date and says
// what it did.
func setUp(ctx context.Context, want request, p progress.Printer) (string, error) {
	if runtime.GOOS == "windows" {
		return "", errors.New("the libtorch set-up knows Linux and macOS: on Windows use WSL")
	}
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	s, err := readStamp(root)
	current := err == nil && s.current(ctx, root, want)
	if current && !want.scorers {
		return s.nothingToDo(), nil
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	if current && scorersDone(cache, p) {
		return s.nothingToDo(), nil
	}
	unlock, err := lockFolder(ctx, cache, p)
	if err != nil {
		return "", err
	}
	said := s.nothingToDo()
	if !current {
		said, err = prepare(ctx, root, cache, want, p)
	}
	if err == nil && want.scorers {
		fetchScorers(ctx, cache, p)
	}
	return said, errors.Join(err, unlock())
}

// cacheFolder is the user's, below which everything large goes.
func cacheFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for the cache: set HOME or XDG_CACHE_HOME (%w)", err)
	}
	return filepath.Join(cache, "blipflow"), nil
}

// prepare makes gotch and libtorch ready, under the cache's lock.
func prepare(ctx context.Context, root, cache string, want request, p progress.Printer) (string, error) {
	tools, err := findTools(ctx, root)
	if err != nil {
		return "", err
	}
	library, source, err := chooseLibrary(ctx, root, cache, want, p)
	if err != nil {
		return "", err
	}
	sources, err := adapt.Wrapper(tools.gotch)
	if err != nil {
		return "", err
	}
	archive, err := wrapper.Build{
		Sources: sources, Library: library, Compiler: tools.compiler,
		Cache: filepath.Join(cache, "wrapper"), Progress: p,
	}.Archive(ctx)
	if err != nil {
		return "", err
	}
	module, err := adapt.Module(tools.gotch, adapt.Flags{
		LibDir: library.Lib(), Archive: archive.Path, Libraries: wrapper.Libraries(),
	})
	if err != nil {
		return "", err
	}
	s := stamp{
		Program: programHash(), Gotch: adapt.Version, Module: module.Hash(),
		Source: source, Libtorch: library.Dir, Version: library.Version, Archive: archive,
	}
	if s.Files, err = library.Identity(); err != nil {
		return "", err
	}
	if err := install(root, module, s); err != nil {
		return "", err
	}
	if err := writeWorkFile(root, tools.goVersion); err != nil {
		return "", err
	}
	return fmt.Sprintf("adapted gotch %s to libtorch %s (%s, %s), %d of its functions stubbed: go build, go run and go test work now", adapt.Version, library.Version, source, library.Dir, len(archive.Stubbed)), nil
}

// chooseLibrary finds the libtorch as the package comment orders it.
func chooseLibrary(ctx context.Context, root, cache string, want request, p progress.Printer) (libtorch.Library, string, error) {
	dir, source, err := chooseFolder(ctx, root, cache, want, p)
	if err != nil {
		return libtorch.Library{}, "", err
	}
	library, err := libtorch.Inspect(dir)
	if err != nil {
		return libtorch.Library{}, "", fmt.Errorf("%w: set LIBTORCH to another folder, or unset it to have libtorch %s fetched", err, libtorch.FetchedVersion)
	}
	return library, source, nil
}

func chooseFolder(ctx context.Context, root, cache string, want request, p progress.Printer) (dir, source string, err error) {
	switch {
	case want.fetch:
	case want.libtorch != "":
		return want.libtorch, fromVariable, nil
	case want.usePyTorch:
		dir, err := libtorch.InPython(ctx)
		return dir, fromPython, err
	default:
		// The libtorch of the last set-up may have been changed since, but it is
		// still the one that was chosen.
		if s, err := readStamp(root); err == nil && s.Source != fromWheel {
			if _, err := libtorch.Inspect(s.Libtorch); err == nil {
				return s.Libtorch, s.Source, nil
			}
			p.Say("the libtorch of the last set-up, %s, is gone: taking the pinned one", s.Libtorch)
		}
	}
	dir, err = libtorch.Fetch(ctx, cache, p)
	return dir, fromWheel, err
}
