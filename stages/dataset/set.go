package dataset

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

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
	// URI is where the picture is: a file, relative to the set's root; a row of a
	// Parquet file or a member of a tar file; or an address on the web.
	URI string `json:"uri"`
	// Place is where in its file a picture is that shares it.
	Place *Place `json:"place,omitempty"`
	// Origin is set where the picture was made from another one.
	Origin *Origin `json:"origin,omitempty"`
	// Captions are its captions, in the order of the metadata.
	Captions []string `json:"captions"`
	// Split is the split that the data set names; empty where it names none.
	Split string `json:"split,omitempty"`
	// Index is the picture's place in the data set, from 0.
	Index int `json:"index"`
}

// Origin is the picture that one in a shard of ours was made from.
type Origin struct {
	// URI was where it was.
	URI string `json:"uri"`
	// Width and Height are its size.
	Width  int `json:"width"`
	Height int `json:"height"`
	// ContentHash is the SHA-256 of its file, in hex.
	ContentHash string `json:"content_hash"`
}

// Set is a data set's list of pictures.
type Set struct {
	// Name is what the data set is called: its folder's name, or "demo".
	Name string
	// Roots are the folders that URIs are relative to, as absolute paths.
	Roots Roots
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

// Options are settings of Load. The zero value takes all that is there.
type Options struct {
	// Name is what to call the data set; empty means by its folder.
	Name string
	// ImageRoot is the folder with the pictures that metadata names, where they
	// are not beside it.
	ImageRoot string
	// Limit is the most pictures to take; 0 means all. Of a data set with splits of its
	// own, each gives its share.
	Limit int
	// ShuffleSeed draws those pictures at random instead of taking the first,
	// unless it is 0.
	ShuffleSeed int64
}

// Load lists the data set that is in a folder, or that a single file describes.
func Load(dir string, o Options) (*Set, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	name := filepath.Base(root)
	var sources []source
	if info.IsDir() {
		sources, err = find(root)
	} else {
		root = filepath.Dir(root)
		if sources = []source{sourceOf(name)}; sources[0].read == nil {
			err = errors.New("neither a folder nor a file of metadata, Parquet or tar")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	b := builder{
		roots: Roots{Pictures: root, Files: root}, folders: map[string][]string{}, first: map[rowKey]string{},
		byURI: map[string]int{}, byID: map[string]string{}, sum: sha256.New(),
	}
	if o.ImageRoot != "" {
		if b.roots.Pictures, err = filepath.Abs(o.ImageRoot); err != nil {
			return nil, fmt.Errorf("data set %s: %w", dir, err)
		}
	}
	for _, s := range sources {
		if err := b.read(s); err != nil {
			return nil, fmt.Errorf("data set %s: %w", dir, err)
		}
	}
	set, err := b.finish(o)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", dir, err)
	}
	set.Name = cmp.Or(o.Name, name)
	return set, nil
}

// Demo draws the built-in data set into dir, unless it is there already, and
// lists it.
func Demo(dir string, pictures demo.Options, o Options) (*Set, error) {
	if err := demo.Write(dir, pictures); err != nil {
		return nil, err
	}
	o.Name = "demo"
	return Load(dir, o)
}

// row is what metadata says of a picture at one place.
type row struct {
	// A picture that is a file of its own has a name, or an address on the web, or
	// both. The name is relative to one of the folders own, where there are any,
	// or to dir, that of the metadata, or to one of its pictureFolders.
	name string
	dir  string
	own  []string
	url  string
	// One inside a file has a URI and, the first time it is named, a place.
	uri    string
	place  *Place
	origin *Origin
	// missing says why there is no picture at uri; code is that of the dead
	// letter, CodeMissing where it is empty.
	missing string
	code    records.Code

	imageID  string // must be the only one
	nickname string // is the id, if it is the only one
	split    string
	unlisted bool // the data set has splits, and the picture is in none
	captions []string
}

// builder gathers rows into pictures.
type builder struct {
	roots   Roots
	split   string // that of the file being read, where rows have none
	refs    []Ref
	dead    []records.DeadLetter
	folders map[string][]string // pictureFolders, by folder
	first   map[rowKey]string   // see sourceFile
	byURI   map[string]int      // place in refs, or -1 for a rejected picture
	byID    map[string]string   // image_id to URI
	sum     hash.Hash
}

// read takes the rows of a file and makes it part of the data set's identity.
// Errors name the file.
func (b *builder) read(s source) error {
	f, err := os.Open(filepath.Join(b.roots.Files, filepath.FromSlash(s.path)))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	b.split = splitOfFile(s.path)
	err = s.read(&sourceFile{f, b.roots.Files, s.path, info.Size(), b.first}, b.add)
	switch {
	case errors.Is(err, ErrNoCaptions):
		return fmt.Errorf("%s: %w", s.path, err)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrMetadata, s.path, err)
	case !info.IsDir():
		fmt.Fprintf(b.sum, "file %q %d\n", s.path, info.Size())
	}
	return nil
}

// add takes one row.
func (b *builder) add(r row) error {
	if r.missing != "" {
		b.reject(r.uri, cmp.Or(r.code, records.CodeMissing), r.missing)
		return nil
	}
	uri, info := r.uri, os.FileInfo(nil)
	if uri == "" {
		var code records.Code
		var err error
		if uri, info, code, err = b.where(&r); err != nil {
			return err
		} else if code != "" {
			why := "the metadata names a picture that is not there"
			if code == records.CodeRefusedPath {
				why = "the metadata names a picture outside the data set's folder"
			}
			b.reject(uri, code, why)
			return nil
		}
	}
	at, known := b.byURI[uri]
	switch {
	case known && at < 0:
		return nil // one dead letter is enough
	case known:
		return b.extend(at, &r)
	case r.unlisted:
		b.reject(uri, records.CodeNoSplit, "the picture is in none of the data set's splits")
		return nil
	}
	id, err := b.idFor(&r, uri)
	if err != nil {
		return err
	}
	b.byID[id] = uri
	b.byURI[uri] = len(b.refs)
	ref := Ref{ImageID: id, URI: uri, Place: r.place, Origin: r.origin, Captions: r.captions, Split: r.split, Index: len(b.refs)}
	if ref.Split == "" {
		ref.Split = b.split
	}
	if info != nil {
		if ref.Split == "" {
			plain, _ := DecodeName(uri) // which EncodeName wrote
			ref.Split = splitOfPath(plain)
		}
		fmt.Fprintf(b.sum, "%q %d %d\n", uri, info.Size(), info.ModTime().UnixNano())
	}
	b.refs = append(b.refs, ref)
	return nil
}

// where finds a picture that is a file of its own, or says what becomes of it.
func (b *builder) where(r *row) (uri string, info os.FileInfo, code records.Code, err error) {
	if r.name == "" && r.url == "" {
		return "", nil, "", errors.New("no file_name")
	}
	var first string
	if r.name != "" {
		inside := false
		if first, inside = inRoot(r.dir, r.name); !inside {
			return EncodeName(first), nil, records.CodeRefusedPath, nil
		}
		name, info := locate(b.roots.Pictures, slices.Concat(r.own, b.foldersOf(r.dir)), r.name)
		if info != nil {
			return EncodeName(name), info, "", nil
		}
	}
	if r.url == "" {
		return EncodeName(first), nil, records.CodeMissing, nil
	}
	address, err := url.Parse(r.url)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return EncodeName(cmp.Or(first, r.url)), nil, records.CodeMissing, nil
	}
	return address.String(), nil, "", nil
}

// foldersOf are a folder's pictureFolders.
func (b *builder) foldersOf(dir string) []string {
	if b.folders[dir] == nil {
		b.folders[dir] = pictureFolders(dir)
	}
	return b.folders[dir]
}

// idFor is the id of a new picture.
func (b *builder) idFor(r *row, uri string) (string, error) {
	if r.imageID != "" {
		if other, taken := b.byID[r.imageID]; taken {
			return "", fmt.Errorf("image_id %q belongs to %s and to %s", r.imageID, other, uri)
		}
		return r.imageID, nil
	}
	if _, taken := b.byID[r.nickname]; r.nickname != "" && !taken && utf8.ValidString(r.nickname) {
		return r.nickname, nil
	}
	if other, taken := b.byID[uri]; taken {
		return "", fmt.Errorf("image_id %q belongs to %s and to %s", uri, other, uri)
	}
	return uri, nil
}

// extend gives a picture the captions of one more row.
func (b *builder) extend(at int, r *row) error {
	ref := &b.refs[at]
	if r.split != "" && r.split != ref.Split {
		return fmt.Errorf("%s is in split %q and in split %q", ref.URI, ref.Split, r.split)
	}
	ref.Captions = append(ref.Captions, r.captions...)
	return nil
}

func (b *builder) reject(uri string, code records.Code, why string) {
	if _, known := b.byURI[uri]; known {
		return
	}
	b.byURI[uri] = -1
	b.dead = append(b.dead, records.DeadLetter{Image: uri, Stage: Stage, Code: code, Error: why})
}

func (b *builder) finish(o Options) (*Set, error) {
	captions := 0
	for _, ref := range b.refs {
		captions += len(ref.Captions)
	}
	switch {
	case len(b.refs) == 0 && len(b.dead) > 0:
		return nil, fmt.Errorf("%w: none of the %d that the metadata names can be used (%s: %s)",
			ErrNoPictures, len(b.dead), b.dead[0].Image, b.dead[0].Error)
	case len(b.refs) == 0:
		return nil, fmt.Errorf("%w: the metadata has no rows", ErrNoPictures)
	case captions == 0:
		return nil, fmt.Errorf("%w: the metadata needs a text, caption or captions column", ErrNoCaptions)
	}
	forgetOnlySplit(b.refs)
	set := &Set{Roots: b.roots, Refs: limit(b.refs, o.Limit, o.ShuffleSeed), Rejected: b.dead}
	if err := encodeEach(b.sum, set.Refs); err != nil {
		return nil, err
	}
	if err := encodeEach(b.sum, b.dead); err != nil {
		return nil, err
	}
	set.Identity = hex.EncodeToString(b.sum.Sum(nil))
	return set, nil
}

// encodeEach writes a JSON object a line, so that a large data set is never in
// memory as text.
func encodeEach[T any](w io.Writer, all []T) error {
	enc := json.NewEncoder(w)
	for i := range all {
		if err := enc.Encode(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// forgetOnlySplit takes a data set of which all is called train, as the hub calls
// what has no splits, for one that names none.
func forgetOnlySplit(refs []Ref) {
	if slices.ContainsFunc(refs, func(r Ref) bool { return r.Split != Train }) {
		return
	}
	for i := range refs {
		refs[i].Split = ""
	}
}

// limit takes at most n pictures, of each named split its share.
func limit(refs []Ref, n int, seed int64) []Ref {
	if n <= 0 || n >= len(refs) {
		return refs
	}
	order := make([]int, len(refs))
	for i := range order {
		order[i] = i
	}
	if seed != 0 {
		rand.New(rand.NewPCG(uint64(seed), 0)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	bySplit := map[string][]int{}
	for _, i := range order {
		bySplit[refs[i].Split] = append(bySplit[refs[i].Split], i)
	}
	// Shares by the largest remainder, so that they add up to n.
	var taken []int
	splits := slices.Sorted(maps.Keys(bySplit))
	rest := n
	for _, s := range splits {
		rest -= len(bySplit[s]) * n / len(refs)
	}
	byRemainder := slices.SortedStableFunc(slices.Values(splits), func(a, b string) int {
		return cmp.Compare(len(bySplit[b])*n%len(refs), len(bySplit[a])*n%len(refs))
	})
	for at, s := range byRemainder {
		share := len(bySplit[s]) * n / len(refs)
		if at < rest {
			share++
		}
		taken = append(taken, bySplit[s][:share]...)
	}
	slices.Sort(taken)
	kept := make([]Ref, len(taken))
	for at, i := range taken {
		kept[at] = refs[i]
		kept[at].Index = at
	}
	return kept
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

// locate finds the picture that a row names in the first folder that has it; it
// returns nil if it is nowhere.
func locate(root string, dirs []string, fileName string) (string, os.FileInfo) {
	for _, dir := range dirs {
		name, inside := inRoot(dir, fileName)
		if !inside {
			continue
		}
		info, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		if err == nil && info.Mode().IsRegular() {
			return name, info
		}
	}
	// A name that JSON cannot hold as it is.
	if plain, err := DecodeName(fileName); err == nil && plain != fileName {
		return locate(root, dirs, plain)
	}
	return "", nil
}

// splitNames are the folder names and split values that are understood.
var splitNames = map[string]string{
	"train": Train, "training": Train, "restval": Train, // Karpathy trains on both
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
