package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Options say what [Write] writes.
type Options struct {
	// Seed of the scenes. Another seed, other pictures.
	Seed uint64 `json:"seed"`
	// Pictures is how many to write, indices 0 to Pictures-1. Must be positive.
	Pictures int `json:"pictures"`
	// Quality of the JPEG files, 1 to 100; 0 means 90.
	Quality int `json:"quality"`
	// Validation and Test are how many of every 100 consecutive pictures are
	// marked as such in the field split; the rest is marked train. With both 0
	// the field is left out, and the reader of the folder splits it.
	Validation int `json:"validation"`
	Test       int `json:"test"`
}

// MaxPictures bounds [Options.Pictures]: a slip of the keyboard should not
// fill a disk.
const MaxPictures = 10_000_000

// ErrOccupied says that the folder to write to has something else in it.
var ErrOccupied = errors.New("folder exists and does not hold this demo data set")

// marker is the file in which a finished folder says how it was made, and
// drawing the version of the pictures and captions: raise it when they change.
const (
	marker   = "demo.json"
	metadata = "metadata.jsonl"
	drawing  = 1
)

// made is the content of the marker.
type made struct {
	Drawing int `json:"drawing"`
	Options
}

func (o Options) check() error {
	switch {
	case o.Pictures < 1 || o.Pictures > MaxPictures:
		return fmt.Errorf("pictures is %d, must be 1 to %d", o.Pictures, MaxPictures)
	case o.Quality < 0 || o.Quality > 100:
		return fmt.Errorf("quality is %d, must be 1 to 100", o.Quality)
	case o.Validation < 0 || o.Test < 0 || o.Validation+o.Test > 100:
		return fmt.Errorf("validation %d and test %d must be shares of 100", o.Validation, o.Test)
	}
	return nil
}

// Write writes a data set as a folder that Hugging Face's imagefolder loader
// and blipflow's own dataset stage read: images/000000.jpg and so on, and
// metadata.jsonl with a line for each of them: file_name, captions (five), the
// facts, and split if asked for.
//
// The folder appears whole or not at all: it is written beside dir and renamed.
// If dir already holds the same data set, nothing is done. Anything else in
// dir, unless it is empty, is [ErrOccupied].
func Write(dir string, o Options) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("write demo data set: %w", err)
	}
	if o.Quality == 0 {
		o.Quality = 90
	}
	done, err := holds(dir, o)
	if err != nil {
		return fmt.Errorf("write demo data set to %s: %w", dir, err)
	}
	if done {
		return nil
	}
	if err := writeAside(dir, o); err != nil {
		return fmt.Errorf("write demo data set to %s: %w", dir, err)
	}
	return nil
}

// holds reports whether dir has the data set already, and fails if it has
// something else.
func holds(dir string, o Options) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	have, err := os.ReadFile(filepath.Join(dir, marker))
	if errors.Is(err, fs.ErrNotExist) {
		return false, ErrOccupied
	}
	if err != nil {
		return false, err
	}
	want, err := o.marker()
	if err != nil {
		return false, err
	}
	if !bytes.Equal(have, want) {
		return false, ErrOccupied
	}
	return true, complete(dir, o)
}

// complete fails if files of a data set were taken away after it was written.
func complete(dir string, o Options) error {
	pictures, err := os.ReadDir(filepath.Join(dir, "images"))
	if err != nil {
		return err
	}
	if len(pictures) != o.Pictures {
		return fmt.Errorf("%d pictures of %d are there: remove the folder to have it written again", len(pictures), o.Pictures)
	}
	_, err = os.Stat(filepath.Join(dir, metadata))
	return err
}

func (o Options) marker() ([]byte, error) {
	b, err := json.Marshal(made{Drawing: drawing, Options: o})
	return append(b, '\n'), err
}

// writeAside fills a folder beside dir and renames it.
func writeAside(dir string, o Options) (err error) {
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(parent, ".demo-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(aside))
		}
	}()
	if err := fill(aside, o); err != nil {
		return err
	}
	// MkdirTemp made it for this user alone; a data set is for reading.
	if err := os.Chmod(aside, 0o755); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // Remove takes an empty folder only
	}
	return os.Rename(aside, dir)
}

// fill writes pictures, metadata and marker into an empty folder.
func fill(dir string, o Options) error {
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o755); err != nil {
		return err
	}
	if err := writePictures(dir, o); err != nil {
		return err
	}
	if err := writeMetadata(filepath.Join(dir, metadata), o); err != nil {
		return err
	}
	b, err := o.marker()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), b, 0o644)
}

// writePictures draws on all processors. Worker k takes the indices k, k+n, …
// and stops at its first error.
func writePictures(dir string, o Options) error {
	workers := min(runtime.GOMAXPROCS(0), o.Pictures)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := k; i < o.Pictures && errs[k] == nil; i += workers {
				errs[k] = writePicture(filepath.Join(dir, fileName(i)), NewScene(o.Seed, uint64(i)), o.Quality)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func fileName(i int) string { return fmt.Sprintf("images/%06d.jpg", i) }

func writePicture(path string, s Scene, quality int) error {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, s.Draw(), &jpeg.Options{Quality: quality}); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// row is a line of metadata.jsonl.
type row struct {
	FileName string   `json:"file_name"`
	Captions []string `json:"captions"`
	Split    string   `json:"split,omitempty"`
	Facts
}

func writeMetadata(path string, o Options) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for i := range o.Pictures {
		s := NewScene(o.Seed, uint64(i))
		if err := enc.Encode(row{fileName(i), s.Captions(), o.split(i), s.Facts}); err != nil {
			return err
		}
	}
	return w.Flush()
}

// split names the part that picture i belongs to. Neighbouring indices have
// nothing in common, so taking the ends of each hundred is as good as a draw.
func (o Options) split(i int) string {
	switch k := i % 100; {
	case o.Validation == 0 && o.Test == 0:
		return ""
	case k >= 100-o.Test:
		return "test"
	case k >= 100-o.Test-o.Validation:
		return "validation"
	}
	return "train"
}
