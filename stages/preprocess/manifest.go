package preprocess

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/stages/records"
)

// Names of the files beside the shards.
const (
	// ManifestName is written last.
	ManifestName = "manifest.json"
	// ErrorsName holds the dead letters.
	ErrorsName = "errors.jsonl"
)

// Shard is one file of a Manifest.
type Shard struct {
	// Name is the file's name, in the manifest's folder.
	Name string `json:"name"`
	// Split is the split of all its rows.
	Split string `json:"split"`
	// Rows, Captions and Bytes say how much is in it.
	Rows     int `json:"rows"`
	Captions int `json:"captions"`
	Bytes    int `json:"bytes"`
	// SHA256 is that of the file, in hex.
	SHA256 string `json:"sha256"`
}

// Manifest says what a folder of shards holds. It is there if and only if the
// folder is complete.
type Manifest struct {
	// Settings names the settings and the data set that the shards were made
	// with.
	Settings string `json:"settings"`
	// Dataset is the data set's name.
	Dataset string `json:"dataset"`
	// Program wrote the shards; JPEGDecoders decoded their JPEG files.
	Program      string   `json:"program"`
	JPEGDecoders []string `json:"jpeg_decoders"`
	// SplitSeed and Shares are those of the splits.
	SplitSeed int64  `json:"split_seed"`
	Shares    Shares `json:"split_shares"`
	// PixelFormat, ProcessorHash and TokenizerHash are those of the shards'
	// metadata.
	PixelFormat   records.PixelFormat `json:"pixel_format"`
	ProcessorHash string              `json:"processor_hash"`
	TokenizerHash string              `json:"tokenizer_hash"`
	// PicturesSeen = PicturesWritten + PicturesFailed.
	PicturesSeen    int `json:"pictures_seen"`
	PicturesWritten int `json:"pictures_written"`
	PicturesFailed  int `json:"pictures_failed"`
	// CaptionsDropped counts the captions without a word.
	CaptionsDropped int `json:"captions_dropped"`
	// Duplicates counts pictures whose bytes are those of an earlier one; Leaks
	// the contents that named splits have in common.
	Duplicates int `json:"duplicates"`
	Leaks      int `json:"leaks"`
	// NearDuplicates counts the pictures that look like one of another split;
	// NearDuplicatesDropped those that were left out for it, which count as
	// failed.
	NearDuplicates        int `json:"near_duplicates"`
	NearDuplicatesDropped int `json:"near_duplicates_dropped"`
	// Prompt begins every caption in the token ids, after the first id, and takes
	// PromptTokens of them.
	Prompt       string `json:"prompt,omitempty"`
	PromptTokens int    `json:"prompt_tokens,omitempty"`
	// Shards are the files, split by split.
	Shards []Shard `json:"shards"`

	dir string
}

// ErrIncomplete is returned by ReadManifest for a folder without a manifest.
var ErrIncomplete = errors.New("no complete set of shards")

// ReadManifest reads the manifest of a folder of shards.
func ReadManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, ManifestName)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: it has no %s", dir, ErrIncomplete, ManifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m := &Manifest{dir: dir}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", path, err)
	}
	return m, nil
}

// In makes m the manifest of the shards in dir, which is where Files looks for
// them. Beam's coders do not carry the folder.
func (m *Manifest) In(dir string) *Manifest {
	m.dir = dir
	return m
}

// Files are the paths of a split's shards, in order.
func (m *Manifest) Files(split string) []string {
	var files []string
	for _, s := range m.Shards {
		if s.Split == split {
			files = append(files, filepath.Join(m.dir, s.Name))
		}
	}
	return files
}

// Rows is the number of pictures in a split.
func (m *Manifest) Rows(split string) int {
	n := 0
	for _, s := range m.Shards {
		if s.Split == split {
			n += s.Rows
		}
	}
	return n
}

// Compatible reports whether a model with this processor and tokenizer can use
// the shards; see records.Meta.Compatible.
func (m *Manifest) Compatible(processorHash, tokenizerHash string) error {
	return records.Meta{ProcessorHash: m.ProcessorHash, TokenizerHash: m.TokenizerHash}.Compatible(processorHash, tokenizerHash)
}

// Ready returns the manifest of a folder of shards that a model with this
// processor and tokenizer can train on as they are, or says why it cannot.
func Ready(dir, processorHash, tokenizerHash string) (*Manifest, error) {
	m, err := ReadManifest(dir)
	switch {
	case err != nil:
		return nil, err
	case !m.whole():
		return nil, fmt.Errorf("%s: %w: a file of its %s is not there or has another size", dir, ErrIncomplete, ManifestName)
	case m.PixelFormat != records.Uint8:
		return nil, fmt.Errorf("%s: its pixels are %s, training reads %s", dir, m.PixelFormat, records.Uint8)
	}
	return m, m.Compatible(processorHash, tokenizerHash)
}

// whole reports whether all files of the manifest are there, with their sizes.
func (m *Manifest) whole() bool {
	for _, s := range m.Shards {
		info, err := os.Stat(filepath.Join(m.dir, s.Name))
		if err != nil || info.Size() != int64(s.Bytes) {
			return false
		}
	}
	_, err := os.Stat(filepath.Join(m.dir, ErrorsName))
	return err == nil
}

func (m *Manifest) write() error {
	return records.WriteFile(filepath.Join(m.dir, ManifestName), func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(m)
	})
}
