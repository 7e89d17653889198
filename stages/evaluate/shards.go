package evaluate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
)

// Shards finds the example shards of a split, test where split is empty: those
// that a folder's manifest names, or else a Parquet file, those in a folder, or
// those of a glob, by the split that each of them states.
func Shards(path, split string) ([]string, error) {
	if split == "" {
		split = dataset.Test
	}
	m, err := preprocess.ReadManifest(path)
	if err == nil {
		if files := m.Files(split); len(files) > 0 {
			return files, nil
		}
		return nil, fmt.Errorf("%s: %w: no shard is of %q", path, ErrSplit, split)
	}
	if !errors.Is(err, preprocess.ErrIncomplete) && !errors.Is(err, os.ErrNotExist) && !notFolder(err) {
		return nil, err
	}
	files, err := parquetFiles(path)
	if err != nil {
		return nil, err
	}
	return ofSplit(path, files, split)
}

// notFolder reports whether a manifest was looked for below a file.
func notFolder(err error) bool {
	var pe *os.PathError
	return errors.As(err, &pe)
}

// IsShards reports whether path means example shards, by its name or by being a
// folder.
func IsShards(path string) bool {
	if strings.EqualFold(filepath.Ext(path), ".parquet") {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func parquetFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		path = filepath.Join(path, "*.parquet")
	case err == nil:
		return []string{path}, nil
	case !strings.ContainsAny(path, "*?["):
		return nil, err
	}
	files, err := filepath.Glob(path)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no Parquet files", path)
	}
	return files, err
}

func ofSplit(path string, files []string, split string) ([]string, error) {
	var found, others []string
	for _, file := range files {
		r, err := records.Open(file, records.ReaderOptions{WithoutPixels: true})
		if err != nil {
			return nil, err
		}
		if is := r.Meta().Split; is == split {
			found = append(found, file)
		} else {
			others = append(others, is)
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		slices.Sort(others)
		return nil, fmt.Errorf("%s: %w: no shard is of %q; there are: %s", path, ErrSplit, split, strings.Join(slices.Compact(others), ", "))
	}
	return found, nil
}
