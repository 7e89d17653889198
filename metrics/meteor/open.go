package meteor

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// ErrNoTables says that METEOR's tables are not in the folder. It comes wrapped
// with the path of what is missing.
var ErrNoTables = errors.New("METEOR's tables are missing")

// Tables are METEOR's tables for English. They don't change after Open and may
// be used by several goroutines.
type Tables struct {
	prefixes    prefixes
	function    map[string]bool // function words
	synonyms    synonyms
	paraphrases paraphrases
	lexicon     lexicon
}

// Files of the folder, and entries of the jar.
const (
	jarName        = "meteor-1.5.jar"
	paraphraseName = "data/paraphrase-en.gz"

	functionName  = "function/english.words"
	prefixName    = "nonbreaking/english.prefixes"
	synsetName    = "synonym/english.synsets"
	exceptionName = "synonym/english.exceptions"
)

// Open reads the tables. The folder is meteor of pycocoevalcap's wheel, with
// meteor-1.5.jar and data/paraphrase-en.gz. The error is ErrNoTables if one of
// these is not there; any other means that one of them can't be read or is not
// what it should be.
func Open(folder string) (*Tables, error) {
	t := &Tables{}
	parsed := make(chan error, 1)
	go func() { parsed <- t.openJar(filepath.Join(folder, jarName)) }()
	err := t.openParaphrases(filepath.Join(folder, filepath.FromSlash(paraphraseName)))
	if err := cmp.Or(<-parsed, err); err != nil {
		return nil, fmt.Errorf("open METEOR's tables: %w", err)
	}
	return t, nil
}

// missing makes ErrNoTables of an error that says there is no such file.
func missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no %s; it comes with Python's pycocoevalcap 1.2", ErrNoTables, path)
	}
	return fmt.Errorf("read %s: %w", path, err)
}

func (t *Tables) openParaphrases(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return missing(path, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return missing(path, err)
	}
	if t.paraphrases, err = readParaphrases(z); err != nil {
		return missing(path, err)
	}
	return nil
}

func (t *Tables) openJar(path string) error {
	jar, err := zip.OpenReader(path)
	if err != nil {
		return missing(path, err)
	}
	defer jar.Close()
	texts := map[string]string{}
	for _, name := range []string{functionName, prefixName, synsetName, exceptionName} {
		if texts[name], err = readEntry(&jar.Reader, name); err != nil {
			return missing(path+": "+name, err)
		}
	}
	if err := t.parse(texts); err != nil {
		return missing(path, err)
	}
	return nil
}

// parse takes the texts of the jar's entries.
func (t *Tables) parse(texts map[string]string) (err error) {
	t.function = map[string]bool{}
	for w := range strings.FieldsSeq(texts[functionName]) {
		t.function[w] = true
	}
	t.prefixes = parsePrefixes(texts[prefixName])
	t.synonyms, err = parseSynonyms(texts[synsetName], texts[exceptionName])
	return err
}

func readEntry(jar *zip.Reader, name string) (string, error) {
	f, err := jar.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	return string(data), err
}
