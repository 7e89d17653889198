package caption

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/generate"
	"github.com/blipflow/blipflow/stages/records"
)

// Generation are settings of the search that take the place of those in the
// model folder's generation_config.json. The zero value changes nothing.
type Generation struct {
	NumBeams          *int                   `json:"num_beams,omitempty"`
	MaxNewTokens      *int                   `json:"max_new_tokens,omitempty"`
	MinLength         *int                   `json:"min_length,omitempty"`
	LengthPenalty     *float64               `json:"length_penalty,omitempty"`
	EarlyStopping     generate.EarlyStopping `json:"early_stopping,omitzero"`
	RepetitionPenalty *float64               `json:"repetition_penalty,omitempty"`
	NoRepeatNGramSize *int                   `json:"no_repeat_ngram_size,omitempty"`
}

// Where neither Generation nor the model folder says.
const (
	defaultBeams     = 5
	defaultNewTokens = 30
)

// over lays g over the model folder's own settings.
func (g Generation) over(c generate.Config) (generate.Config, error) {
	if c.NumBeams == 0 {
		c.NumBeams = defaultBeams
	}
	if c.MaxNewTokens == 0 && c.MaxLength == 0 {
		c.MaxNewTokens = defaultNewTokens
	}
	set(&c.NumBeams, g.NumBeams)
	set(&c.MaxNewTokens, g.MaxNewTokens)
	set(&c.NoRepeatNGramSize, g.NoRepeatNGramSize)
	set(&c.RepetitionPenalty, g.RepetitionPenalty)
	if g.LengthPenalty != nil {
		c.LengthPenalty = g.LengthPenalty
	}
	if g.MinLength != nil {
		c.MinLength, c.MinNewTokens = *g.MinLength, 0
	}
	if g.EarlyStopping != "" {
		c.EarlyStopping = g.EarlyStopping
	}
	c.NumReturnSequences = 1
	return c, c.Validate()
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// Settings decide, with the model, which caption a picture gets.
type Settings struct {
	// Generation are the settings of the search.
	Generation Generation
	// Prompt begins every caption. Empty means none.
	Prompt string
	// StripPrompt leaves the prompt out of the caption that is written.
	StripPrompt bool
	// IgnoreEXIF captions pictures as they are stored, without the turn that
	// their EXIF data asks for.
	IgnoreEXIF bool
}

// Settle returns the search's settings for the model in folder. It finds a folder
// that is not there or whose parts do not fit, before any weights are read.
func (s Settings) Settle(folder string) (generate.Config, error) {
	f, err := checkpoint.Open(folder)
	if err != nil {
		return generate.Config{}, err
	}
	return s.Generation.over(f.Generation)
}

// hash names the settings in a caption's provenance.
func (s Settings) hash(c generate.Config) string {
	return records.Fingerprint([]any{c.Hash(), s.Prompt, s.StripPrompt, s.IgnoreEXIF})[:16]
}

// modelFiles are the files of a folder that decide a caption, beside its weights.
var modelFiles = []string{
	"config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
}

// smallFile is up to where a model's file counts by its content; a larger one
// counts by its size and time of change.
const smallFile = 8 << 20

// ModelIdentity names the content of a model folder: it changes when a file that
// decides about captions does.
func ModelIdentity(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", fmt.Errorf("model: %w", err)
	}
	sum := sha256.New()
	for _, e := range entries {
		name := e.Name()
		weights := strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".safetensors.index.json")
		if !weights && !slices.Contains(modelFiles, name) {
			continue
		}
		info, err := os.Stat(filepath.Join(folder, name)) // through links: hub caches are made of them
		if err != nil {
			return "", fmt.Errorf("model: %w", err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if err := addFile(sum, filepath.Join(folder, name), info); err != nil {
			return "", fmt.Errorf("model: %w", err)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

func addFile(sum io.Writer, path string, info os.FileInfo) error {
	fmt.Fprintf(sum, "%q %d\n", filepath.Base(path), info.Size())
	if info.Size() > smallFile {
		_, err := fmt.Fprintf(sum, "%d\n", info.ModTime().UnixNano())
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = sum.Write(data)
	return err
}

// text is s as it is written into a manifest.
func (s Settings) text(c generate.Config) json.RawMessage {
	data, err := json.Marshal(struct {
		Generation  generate.Config `json:"generation"`
		Prompt      string          `json:"prompt,omitempty"`
		StripPrompt bool            `json:"strip_prompt,omitempty"`
		IgnoreEXIF  bool            `json:"ignore_exif,omitempty"`
	}{c, s.Prompt, s.StripPrompt, s.IgnoreEXIF})
	if err != nil { // Validate has refused what JSON cannot hold
		panic(fmt.Sprintf("caption: settings: %v", err))
	}
	return data
}
