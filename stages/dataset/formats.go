package dataset

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A source is what a data set's pictures and captions are read from: one file,
// relative to the data set's folder.
type source struct {
	path string
	read func(s *sourceFile, add func(row) error) error
}

// sourceFile is a file that is being read.
type sourceFile struct {
	file
	root string // the data set's folder
	path string // of the file, relative to root, slash-separated
	size int64
	// first has the URI of the data set's first row with a picture.
	first map[rowKey]string
}

// rowKey is the content of a picture in a row, and its split.
type rowKey [sha256.Size + 1]byte

// file is what the readers need of an *os.File.
type file interface {
	io.Reader
	io.ReaderAt
}

// dir is the folder of the file, relative to the data set's; "" for that itself.
func (s *sourceFile) dir() string { return parent(s.path) }

func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// readers read files of metadata, by their names' ends.
var readers = []struct {
	suffix string
	read   func(*sourceFile, func(row) error) error
}{
	{".jsonl", readJSONLines},
	{".json", readJSON},
	{".parquet", readParquet},
	{".tar", readTar},
	{".tar.gz", readTar},
	{".tgz", readTar},
	{".token.txt", readTokens},
	{".token", readTokens},
	{".csv", readTable},
	{".tsv", readTable},
	{".txt", readTable},
}

// sourceOf is the reader of one file; its read is nil where no reader knows the
// name.
func sourceOf(name string) source {
	s := source{path: name}
	for _, r := range readers {
		if strings.HasSuffix(strings.ToLower(name), r.suffix) {
			s.read = r.read
			break
		}
	}
	return s
}

func sourcesOf(names []string) []source {
	all := make([]source, len(names))
	for i, name := range names {
		all[i] = sourceOf(name)
	}
	return all
}

// find says what to read in a folder: the first kind of file that is there.
func find(root string) ([]source, error) {
	for _, look := range []func(string) ([]source, error){
		imageFolder, tokenFile, annotationFiles, containers, rowFiles, sidecars,
	} {
		found, err := look(root)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	entries, err := os.ReadDir(root)
	switch {
	case err != nil:
		return nil, err
	case len(entries) == 0:
		return nil, fmt.Errorf("%w: the folder is empty", ErrNoPictures)
	default:
		return nil, fmt.Errorf("%w: the folder has none of %s, no JSON, Parquet or tar files and no picture with a .txt beside it",
			ErrNoCaptions, strings.Join(metaNames, ", "))
	}
}

// imageFolder finds the root's metadata file or, if it has none, those of its
// split folders.
func imageFolder(root string) ([]source, error) {
	if name := metadataIn(root); name != "" {
		return []source{sourceOf(name)}, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var found []source
	for _, e := range entries {
		if splitNames[strings.ToLower(e.Name())] == "" {
			continue
		}
		if name := metadataIn(filepath.Join(root, e.Name())); name != "" {
			found = append(found, sourceOf(e.Name()+"/"+name))
		}
	}
	return found, nil
}

func metadataIn(dir string) string {
	for _, name := range metaNames {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// below finds the files with these patterns in root and in the folders named.
func below(root string, folders []string, patterns ...string) ([]string, error) {
	var found []string
	for _, folder := range folders {
		for _, pattern := range patterns {
			matches, err := fs.Glob(os.DirFS(root), path.Join(folder, pattern))
			if err != nil {
				return nil, err
			}
			found = append(found, matches...)
		}
	}
	return found, nil
}

// tokenFile finds the captions of the original Flickr8k and Flickr30k.
func tokenFile(root string) ([]source, error) {
	found, err := below(root, []string{"", "Flickr8k_text", "flickr8k_text"}, "Flickr8k.token.txt", "results_*.token")
	return sourcesOf(found[:min(1, len(found))]), err
}

// annotationFiles finds Karpathy's file or COCO's.
func annotationFiles(root string) ([]source, error) {
	found, err := below(root, []string{"", "annotations"}, "dataset.json", "dataset_*.json")
	if err == nil && len(found) == 0 {
		found, err = below(root, []string{"", "annotations"}, "captions_*.json")
	}
	return sourcesOf(found), err
}

// containers finds the files that hold pictures, at any depth: Parquet files, our
// own shards among them, or else tar files. Tables that img2dataset has beside its
// shards are neither: what they describe is in the shards.
func containers(root string) ([]source, error) {
	var tables, tars []string
	shards := map[string]bool{} // tar files and folders, without their extension
	err := filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		name = filepath.ToSlash(name)
		switch {
		case err != nil:
			return err
		case name == ".":
		case strings.HasPrefix(e.Name(), ".") && e.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			shards[name] = true
		case strings.HasSuffix(name, ".parquet"):
			tables = append(tables, name)
		case strings.HasSuffix(name, ".tar"), strings.HasSuffix(name, ".tar.gz"), strings.HasSuffix(name, ".tgz"):
			tars = append(tars, name)
			shards[strings.TrimSuffix(name, ".tar")] = true
		}
		return nil
	})
	tables = slices.DeleteFunc(tables, func(name string) bool {
		stem := strings.TrimSuffix(name, ".parquet")
		return shards[stem] && strings.Trim(path.Base(stem), "0123456789") == ""
	})
	if len(tables) > 0 {
		return sourcesOf(tables), err
	}
	return sourcesOf(tars), err
}

// rowFiles finds files with a row a line, or lists of rows, that are named after
// splits or alone.
func rowFiles(root string) ([]source, error) {
	found, err := below(root, []string{"", "data"}, "*.jsonl", "*.json")
	if err != nil {
		return nil, err
	}
	splits := slices.DeleteFunc(slices.Clone(found), func(name string) bool { return splitOfFile(name) == "" })
	if len(splits) > 0 {
		found = splits
	}
	found = slices.DeleteFunc(found, func(name string) bool {
		return strings.HasPrefix(path.Base(name), "dataset_info") || strings.HasSuffix(name, "_stats.json") // img2dataset's
	})
	if len(splits) == 0 && len(found) > 1 {
		return nil, fmt.Errorf("%w: %s and %s: name one of them as the data set", ErrMetadata, found[0], found[1])
	}
	return sourcesOf(found), nil
}

// sidecar is a picture and the text file beside it, named as the picture but for
// the extension; text is empty where there is none.
type sidecar struct{ picture, text string }

// sidecars finds pictures with a text file beside them.
func sidecars(root string) ([]source, error) {
	inputs, err := listFolder(root)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(inputs, byKey)
	all := make([]sidecar, len(inputs))
	some := false
	for i, in := range inputs {
		picture, err := DecodeName(in.Key)
		if err != nil {
			return nil, err
		}
		all[i].picture = picture
		text := strings.TrimSuffix(picture, path.Ext(picture)) + ".txt"
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(text))); err == nil && info.Mode().IsRegular() {
			all[i].text, some = text, true
		}
	}
	if !some {
		return nil, nil
	}
	read := func(s *sourceFile, add func(row) error) error { return readSidecars(s.root, all, add) }
	return []source{{path: ".", read: read}}, nil
}

// readSidecars reads a caption a line.
func readSidecars(root string, all []sidecar, add func(row) error) error {
	for _, one := range all {
		r := row{name: one.picture}
		if one.text != "" {
			captions, err := readText(filepath.Join(root, filepath.FromSlash(one.text)))
			if err != nil {
				return err
			}
			r.captions = captions
		}
		if err := add(r); err != nil {
			return err
		}
	}
	return nil
}

// readText reads a small file's lines as captions; blank lines are none.
func readText(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxLine))
	if err != nil {
		return nil, err
	}
	return captionLines(string(data)), nil
}

// captionLines are the captions of a text with one a line. A text without a word
// is one empty caption, for the stage that counts them.
func captionLines(text string) []string {
	var captions []string
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if strings.TrimSpace(line) != "" {
			captions = append(captions, line)
		}
	}
	if captions == nil {
		captions = []string{""}
	}
	return tidy(captions)
}

// splitOfFile is the split that a file's name or one of its folders begins with,
// as train-00000-of-00002.parquet and val/0001.tar do.
func splitOfFile(name string) string {
	parts := strings.Split(strings.ToLower(name), "/")
	for _, part := range slices.Backward(parts) {
		word := part
		if at := strings.IndexFunc(part, func(r rune) bool { return r < 'a' || r > 'z' }); at >= 0 {
			word = part[:at]
		}
		if split := splitNames[word]; split != "" {
			return split
		}
	}
	return ""
}
