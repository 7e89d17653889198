package export

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/stages/records"
)

// asidePrefix begins the names of the folders, in the output, of what is on its
// way.
const asidePrefix = ".export-"

// In such a folder: what comes; what was there, until all has come; and the same
// after that.
const (
	coming = "coming"
	before = "before"
	gone   = "gone"
)

// optional are names of an earlier export that the next one may lack.
var optional = []string{trainer.AdapterFolder, safetensors.IndexName}

// rename is another one in tests of what breaks off.
var rename = os.Rename

// ErrNoRoom is wrapped where the disk is full, or the system lets a file grow no
// further. The output is as it was.
var ErrNoRoom = errors.New("there is no room for the model")

// fill makes a checkpoint's model, and other files, the export in a folder. It
// gives the names of what it put there.
func fill(output, from string, files map[string][]byte) (names []string, err error) {
	if err := os.MkdirAll(output, 0o755); err != nil {
		return nil, err
	}
	if err := makeGood(output); err != nil {
		return nil, fmt.Errorf("clear up after a run that was stopped: %w", err)
	}
	aside, err := os.MkdirTemp(output, asidePrefix+"*")
	if err != nil {
		return nil, roomError(output, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	if names, err = write(filepath.Join(aside, coming), from, files); err != nil {
		return nil, roomError(output, err)
	}
	if err := swap(output, aside, names); err != nil {
		return nil, roomError(output, err)
	}
	return names, nil
}

// roomError says what to do about a full disk.
func roomError(output string, err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w in %s, which is as it was; make room and run the same command again: %w", ErrNoRoom, output, err)
		}
	}
	return err
}

// write puts what comes into a folder, stored on the disk, and lists it.
func write(to, from string, files map[string][]byte) ([]string, error) {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && name != trainer.AdapterFolder:
			return fs.SkipDir
		case entry.IsDir() || forTraining(name):
			return nil
		}
		return copyFile(filepath.Join(to, name), path)
	})
	if err != nil {
		return nil, err
	}
	for name, data := range files {
		err := records.WriteFile(filepath.Join(to, name), func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(to)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Contains(names, safetensors.SingleName) {
		return nil, fmt.Errorf("there is no %s", safetensors.SingleName)
	}
	return names, nil
}

// forTraining tells the files of a checkpoint that are for going on with it: other
// tensors than the model's are among them.
func forTraining(name string) bool {
	return name == trainer.StateFile || name == checkpoint.CardFile || strings.HasPrefix(name, ".") ||
		filepath.Ext(name) == ".new" || filepath.Ext(name) == ".safetensors" && name != safetensors.SingleName && filepath.Dir(name) == "."
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return records.WriteFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

// weightsLast orders names so that the weights, which make a folder complete, come
// last.
func weightsLast(names []string) []string {
	return slices.SortedFunc(slices.Values(names), func(a, b string) int {
		late := func(name string) int {
			if name == safetensors.SingleName {
				return 1
			}
			return 0
		}
		return cmp.Or(late(a)-late(b), strings.Compare(a, b))
	})
}

// swap puts what has come aside in the place of what is there, or changes nothing.
func swap(output, aside string, names []string) (err error) {
	order := weightsLast(names)
	var placed []string
	defer func() {
		if err == nil {
			return
		}
		for _, name := range slices.Backward(placed) {
			err = errors.Join(err, rename(filepath.Join(output, name), filepath.Join(aside, coming, name)))
		}
		err = errors.Join(err, putBack(output, aside))
	}()
	if err := os.Mkdir(filepath.Join(aside, before), 0o755); err != nil {
		return err
	}
	leaving := append(slices.Clone(optional), order...)
	for _, name := range slices.Backward(leaving) {
		err := rename(filepath.Join(output, name), filepath.Join(aside, before, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range order {
		if err := rename(filepath.Join(aside, coming, name), filepath.Join(output, name)); err != nil {
			return err
		}
		placed = append(placed, name)
	}
	// From here on what was there is not wanted back.
	return rename(filepath.Join(aside, before), filepath.Join(aside, gone))
}

// putBack undoes a swap that did not come to its end.
func putBack(output, aside string) error {
	entries, err := os.ReadDir(filepath.Join(aside, before))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for _, name := range weightsLast(names) {
		place := filepath.Join(output, name)
		if err := os.RemoveAll(place); err != nil {
			return err
		}
		if err := rename(filepath.Join(aside, before, name), place); err != nil {
			return err
		}
	}
	return nil
}

// makeGood undoes what runs that were killed left half done.
func makeGood(output string) error {
	entries, err := os.ReadDir(output)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if aside := filepath.Join(output, e.Name()); e.IsDir() && strings.HasPrefix(e.Name(), asidePrefix) {
			if err := putBack(output, aside); err != nil {
				return err
			}
			if err := os.RemoveAll(aside); err != nil {
				return err
			}
		}
	}
	return nil
}
