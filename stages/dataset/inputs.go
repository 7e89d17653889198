package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// Input is a picture to be captioned.
type Input struct {
	// Key is the picture as found, relative to the input.
	Key string `json:"key"`
	// URI is where it is: an absolute path.
	URI string `json:"uri"`
}

// List finds the pictures of an input, sorted by key, each key once. The input is
// one of
//
//   - a picture: its key is its name;
//   - a folder: all pictures in it and below it, by the usual extensions or, where
//     a name has none, by content. Names that begin with a dot are left out; links
//     are followed, each folder once. Keys are relative to the folder;
//   - a list of pictures, FILE.txt or @FILE: a name a line, relative to the list's
//     folder. Keys are the lines. A name with a line break is written as
//     EncodeName does;
//   - a glob, where no file has just that name: its matches, and what is in
//     matching folders. Keys are relative to the part before the first wildcard.
//
// What a list or a glob names is taken as it is, pictures or not. An input without
// any picture is ErrNoPictures.
func List(input string) ([]Input, error) {
	inputs, err := list(input)
	if err != nil {
		return nil, fmt.Errorf("input %s: %w", input, err)
	}
	if len(inputs) == 0 {
		return nil, fmt.Errorf("input %s: %w", input, ErrNoPictures)
	}
	slices.SortFunc(inputs, byKey)
	return slices.CompactFunc(inputs, func(a, b Input) bool { return a.Key == b.Key }), nil
}

func byKey(a, b Input) int { return strings.Compare(a.Key, b.Key) }

func list(input string) ([]Input, error) {
	info, err := os.Stat(input)
	switch {
	case err == nil && info.IsDir():
		return listFolder(input)
	case err == nil && strings.EqualFold(filepath.Ext(input), ".txt"):
		return listFile(input)
	case err == nil:
		return appendInput(nil, filepath.Base(input), input)
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	if name, ok := strings.CutPrefix(input, "@"); ok {
		return listFile(name)
	}
	if strings.ContainsAny(input, "*?[") {
		return listGlob(input)
	}
	return nil, err
}

func appendInput(to []Input, key, file string) ([]Input, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	return append(to, Input{Key: EncodeName(filepath.ToSlash(key)), URI: EncodeName(filepath.ToSlash(abs))}), nil
}

func listFile(name string) ([]Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var inputs []Input
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			continue
		}
		key, err := DecodeName(line)
		if err != nil {
			return nil, err
		}
		file := key
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(name), file)
		}
		if inputs, err = appendInput(inputs, key, file); err != nil {
			return nil, err
		}
	}
	return inputs, lines.Err()
}

func listGlob(pattern string) ([]Input, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%w (a name with *, ? or [ in it can be given as ./NAME in a list)", err)
	}
	base := fixedPart(pattern)
	var inputs []Input
	for _, m := range matches {
		key, err := filepath.Rel(base, m)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(m)
		if err == nil && info.IsDir() {
			inner, err := listFolder(m)
			if err != nil {
				return nil, err
			}
			for _, in := range inner {
				inputs = append(inputs, Input{Key: joinKey(key, in.Key), URI: in.URI})
			}
			continue
		}
		if inputs, err = appendInput(inputs, key, m); err != nil {
			return nil, err
		}
	}
	return inputs, nil
}

// joinKey puts a folder before a key that may be encoded.
func joinKey(folder, key string) string {
	plain, err := DecodeName(key)
	if err != nil {
		plain = key
	}
	return EncodeName(path.Join(filepath.ToSlash(folder), plain))
}

// fixedPart is the folder that all matches of a glob are in.
func fixedPart(pattern string) string {
	at := strings.IndexAny(pattern, "*?[")
	dir, _ := filepath.Split(pattern[:at])
	if dir == "" {
		return "."
	}
	return dir
}

// extensions are those of the formats that can be decoded.
var extensions = map[string]bool{
	".jpg": true, ".jpeg": true, ".jpe": true, ".jfif": true, ".png": true, ".apng": true,
	".gif": true, ".webp": true, ".bmp": true, ".dib": true, ".tif": true, ".tiff": true,
}

// walker goes through a folder.
type walker struct {
	root   string
	seen   map[string]bool // folders, by their real path
	inputs []Input
}

func listFolder(root string) ([]Input, error) {
	w := walker{root: root, seen: map[string]bool{}}
	err := w.walk("")
	return w.inputs, err
}

// walk lists the folder at dir, relative to the root.
func (w *walker) walk(dir string) error {
	real, err := filepath.EvalSymlinks(filepath.Join(w.root, dir))
	if err != nil {
		return err
	}
	if w.seen[real] {
		return nil
	}
	w.seen[real] = true
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := w.visit(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) visit(key string) error {
	file := filepath.Join(w.root, key)
	info, err := os.Stat(file)
	switch {
	case err != nil:
		// A link to nothing, or a file that went away since. If it was called a
		// picture, the stage that opens it says so.
		if !extensions[strings.ToLower(filepath.Ext(key))] {
			return nil
		}
	case info.IsDir():
		return w.walk(key)
	case !info.Mode().IsRegular() || !isPicture(file):
		return nil
	}
	w.inputs, err = appendInput(w.inputs, key, file)
	return err
}

// isPicture goes by the extension and, where there is none, by the content.
func isPicture(file string) bool {
	ext := strings.ToLower(filepath.Ext(file))
	if ext != "" {
		return extensions[ext]
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close() // only read
	head := make([]byte, 64)
	n, _ := io.ReadFull(f, head)
	return imaging.Sniff(head[:n]) != ""
}
