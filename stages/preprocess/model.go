package preprocess

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// ErrModelFolder is returned for a model folder that is incomplete or whose parts
// don't fit each other.
var ErrModelFolder = errors.New("unusable model folder")

// FromModel returns what a Hugging Face folder of a BLIP says about preparing its
// input: the image processor, and the tokenizer with the id that begins a caption
// (bos_token_id of the text config) and at most maxLength ids. The weights are
// not looked at.
func FromModel(dir string, maxLength int) (*imaging.Processor, *Text, error) {
	fail := func(err error) (*imaging.Processor, *Text, error) {
		return nil, nil, fmt.Errorf("%w %s: %w", ErrModelFolder, dir, err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil, fmt.Errorf("%w: there is no folder %s", ErrModelFolder, dir)
	}
	config, err := readTextConfig(dir)
	if err != nil {
		return fail(err)
	}
	processor, err := imaging.LoadProcessor(dir)
	if err != nil {
		return fail(err)
	}
	tokenizer, err := text.Load(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("it has neither %s nor %s", text.TokenizerFile, text.VocabFile)
	}
	if err != nil {
		return fail(err)
	}
	switch {
	case tokenizer.Size() > config.VocabSize:
		return fail(fmt.Errorf("the tokenizer has %d tokens, the model %d: the vocabulary does not fit the model", tokenizer.Size(), config.VocabSize))
	case config.First < 0 || int(config.First) >= config.VocabSize:
		return fail(fmt.Errorf("bos_token_id is %d, and the model has %d tokens", config.First, config.VocabSize))
	case maxLength > config.MaxPositions:
		return fail(fmt.Errorf("captions of %d tokens, and the model reads %d", maxLength, config.MaxPositions))
	}
	words, err := NewText(tokenizer, config.First, maxLength)
	if err != nil {
		return fail(err)
	}
	return processor, words, nil
}

// textConfig is the part of config.json that decides about token ids.
type textConfig struct {
	First        int32 `json:"bos_token_id"`
	VocabSize    int   `json:"vocab_size"`
	MaxPositions int   `json:"max_position_embeddings"`
}

// readTextConfig reads it. What is not there has the defaults of the reference's
// BlipTextConfig.
func readTextConfig(dir string) (textConfig, error) {
	const name = "config.json"
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return textConfig{}, fmt.Errorf("it has no %s", name)
	}
	if err != nil {
		return textConfig{}, err
	}
	config := struct {
		Text textConfig `json:"text_config"`
	}{textConfig{First: 30522, VocabSize: 30524, MaxPositions: 512}}
	if err := json.Unmarshal(data, &config); err != nil {
		return textConfig{}, fmt.Errorf("%s: %w", name, err)
	}
	return config.Text, nil
}
