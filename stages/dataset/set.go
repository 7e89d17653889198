package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/demo"
)

// Names of the splits.
const (
	Train      = "train"
	Validation = "validation"
	Test       = "test"
)

// Splits are all splits, in the order in which they are shown.
var Splits = []string{Train, Validation, Test}

// Ref is one picture of a data set, before any of its bytes are read.
type Ref struct {
	// ImageID is the picture's name in the data set, unique in it: the
	// metadata's image_id if there is one, else the URI.
	ImageID string `json:"image_id"`
	// URI is where the picture is, relative to the set's root.
	URI string `json:"uri"`
	// Captions are its captions, in the order of the metadata.
	Captions []string `json:"captions"`
	// Split is the split that the data set names; empty where it names none.
	Split string `json:"split,omitempty"`
	// Index is the picture's place in the data set, from 0.
	Index int `json:"index"`
}

// Set is a data set's list of pictures.
type Set struct {
	// Name is what the data set is called: its folder's name, or "demo".
	Name string
	// Root is the folder that URIs are relative to, as an absolute path.
	Root string
	// Refs are the pictures, in the order of the metadata.
	Refs []Ref
	// Rejected are the pictures that the metadata names and that cannot be
	// used.
	Rejected []records.DeadLetter
	// Identity changes when a picture, its size, its time of change, a caption
	// or a split does.
	Identity string
}

// Stage is the name under which this package writes dead letters.
const Stage = "dataset"

// Errors of Load and List.
var (
	// ErrNoPictures: there is nothing to work on.
	ErrNoPictures = errors.New("no pictures")
	// ErrNoCaptions: there are pictures, and no captions to them.
	ErrNoCaptions = errors.New("no captions")
	// ErrMetadata: the file with the captions cannot be understood.
	ErrMetadata = errors.New("metadata")
)

// Load lists the data set in dir.
func Load(dir string) (*Set, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	if info, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("data set %s: not a folder", dir)
	}
	files, err := findMetadata(root)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	b := builder{root: root, byURI: map[string]int{}, byID: map[string]string{}, sum: sha256.New()}
	for _, f := range files {
		if err := f.read(root, b.add); err != nil {
			return nil, fmt.Errorf("data set %s: %w: %w", dir, ErrMetadata, err)
		}
	}
	return b.finish(dir)
}

// Demo draws the built-in data set into dir, unless it is there already, and
// lists it.
func Demo(dir string, opt demo.Options) (*Set, error) {
	if err := demo.Write(dir, opt); err != nil {
		return nil, err
	}
	set, err := Load(dir)
	if err != nil {
		return nil, err
	}
	set.Name = "demo"
	return set, nil
}

// builder gathers the rows of metadata into pictures.
type builder struct {
	root  string
	refs  []Ref
	dead  []records.DeadLetter
	byURI map[string]int    // place in refs, or -1 for a rejected picture
	byID  map[string]string // image_id to URI
	sum   interface {
		Write([]byte) (int, error)
		Sum([]byte) []byte
	}
}

// add takes one row of metadata.
func (b *builder) add(r metaRow) error {
	if r.fileName == "" {
		return errors.New("no file_name")
	}
	name, inside := inRoot(r.dir, r.fileName)
	if !inside {
		b.reject(name, records.CodeRefusedPath, "the metadata names a picture outside the data set's folder")
		return nil
	}
	name, info := locate(b.root, r.dir, r.fileName)
	uri := EncodeName(name)
	at, known := b.byURI[uri]
	switch {
	case known && at < 0:
		return nil // one dead letter is enough
	case known:
		return b.extend(at, r)
	case info == nil:
		b.reject(name, records.CodeMissing, "the metadata names a picture that is not there")
		return nil
	}
	id := r.imageID
	if id == "" {
		id = uri
	}
	if other, taken := b.byID[id]; taken {
		return fmt.Errorf("image_id %q belongs to %s and to %s", id, other, uri)
	}
	b.byID[id] = uri
	b.byURI[uri] = len(b.refs)
	split := r.split
	if split == "" {
		split = splitOfPath(name)
	}
	b.refs = append(b.refs, Ref{ImageID: id, URI: uri, Captions: r.captions, Split: split, Index: len(b.refs)})
	fmt.Fprintf(b.sum, "%q %d %d\n", uri, info.Size(), info.ModTime().UnixNano())
	return nil
}

// extend gives a picture the captions of one more row.
func (b *builder) extend(at int, r metaRow) error {
	ref := &b.refs[at]
	if r.split != "" && r.split != ref.Split {
		return fmt.Errorf("%s is in split %q and in split %q", ref.URI, ref.Split, r.split)
	}
	ref.Captions = append(ref.Captions, r.captions...)
	return nil
}

func (b *builder) reject(name string, code records.Code, why string) {
	uri := EncodeName(name)
	if _, known := b.byURI[uri]; known {
		return
	}
	b.byURI[uri] = -1
	b.dead = append(b.dead, records.DeadLetter{Image: uri, Stage: Stage, Code: code, Error: why})
}

func (b *builder) finish(dir string) (*Set, error) {
	set := &Set{Name: filepath.Base(b.root), Root: b.root, Rejected: b.dead}
	captions := 0
	for _, ref := range b.refs {
		captions += len(ref.Captions)
	}
	switch {
	case len(b.refs) == 0 && len(b.dead) > 0:
		return nil, fmt.Errorf("data set %s: %w: none of the %d that the metadata names can be used (%s: %s)",
			dir, ErrNoPictures, len(b.dead), b.dead[0].Image, b.dead[0].Error)
	case len(b.refs) == 0:
		return nil, fmt.Errorf("data set %s: %w: the metadata has no rows", dir, ErrNoPictures)
	case captions == 0:
		return nil, fmt.Errorf("data set %s: %w: the metadata needs a text, caption or captions column", dir, ErrNoCaptions)
	}
	set.Refs = b.refs
	if err := json.NewEncoder(b.sum).Encode([]any{b.refs, b.dead}); err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	set.Identity = hex.EncodeToString(b.sum.Sum(nil))
	return set, nil
}

// inRoot joins a name to its metadata's folder, and reports whether the result is
// inside the root. Links below the root are the owner's own business; hub caches
// are made of them.
func inRoot(dir, fileName string) (string, bool) {
	fileName = filepath.ToSlash(fileName)
	if path.IsAbs(fileName) {
		return fileName, false
	}
	name := dir + "/" + fileName
	return path.Join(dir, fileName), filepath.IsLocal(filepath.FromSlash(strings.TrimPrefix(name, "/")))
}

// locate finds the picture that a row names, and says where it should have been
// (and nil) if it is nowhere.
func locate(root, dir, fileName string) (string, os.FileInfo) {
	for _, sub := range []string{"", "Images", "images"} {
		name := path.Join(dir, sub, filepath.ToSlash(fileName))
		info, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		if err == nil && info.Mode().IsRegular() {
			return name, info
		}
	}
	// A name that JSON cannot hold as it is.
	if plain, err := DecodeName(fileName); err == nil && plain != fileName {
		if _, inside := inRoot(dir, plain); inside {
			return locate(root, dir, plain)
		}
	}
	return path.Join(dir, filepath.ToSlash(fileName)), nil
}

// splitNames are the folder names and split values that are understood.
var splitNames = map[string]string{
	"train": Train, "training": Train,
	"validation": Validation, "valid": Validation, "val": Validation, "dev": Validation,
	"test": Test, "testing": Test,
}

// splitOfPath is the split that a picture's first folder names.
func splitOfPath(name string) string {
	first, _, nested := strings.Cut(name, "/")
	if !nested {
		return ""
	}
	return splitNames[strings.ToLower(first)]
}
