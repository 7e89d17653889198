package train

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// SmallConfig is a BLIP of half a million parameters, for pictures of 48×48,
// that learns simple scenes on a CPU in minutes. Random weights of this width
// need a wider spread than the 0.02 of models of 768.
func SmallConfig() blip.Config {
	c := blip.Base()
	v, t := &c.Vision, &c.Text
	v.HiddenSize, v.IntermediateSize, v.NumHiddenLayers, v.NumAttentionHeads = 96, 192, 3, 4
	v.ImageSize, v.PatchSize, v.InitializerRange = 48, 8, 0.08
	t.HiddenSize, t.EncoderHiddenSize, t.IntermediateSize, t.NumHiddenLayers, t.NumAttentionHeads = 96, 96, 192, 2, 4
	t.MaxPositionEmbeddings, t.InitializerRange = 64, 0.08
	return c
}

// Scratch makes a base model for a data set without one: the configuration
// with random weights, and a vocabulary of at most words tokens made of the
// captions. The folder appears below dir, under a name that says what is in
// it; one that is there already is taken as it is. The result is its path.
func Scratch(dir string, c blip.Config, captions iter.Seq[string], words int, seed int64) (string, error) {
	tok, err := text.BuildVocab(captions, text.VocabOptions{Size: words, Added: []string{"[DEC]"}})
	if err != nil {
		return "", fmt.Errorf("make a vocabulary of the captions: %w", err)
	}
	ids := tok.IDs()
	c.Text.VocabSize = int64(tok.Size())
	c.Text.BOSTokenID, c.Text.PadTokenID = int64(ids.Start), int64(ids.Padding)
	c.Text.SepTokenID, c.Text.EOSTokenID = int64(ids.Separator), int64(ids.Separator)
	name := records.Fingerprint(map[string]any{"config": c, "vocabulary": tok.Hash(), "seed": seed})
	path := filepath.Join(dir, "base-"+name[:12])
	switch _, err := checkpoint.Open(path); {
	case err == nil:
		return path, nil
	case !errors.Is(err, checkpoint.ErrNoFolder):
		if err := os.RemoveAll(path); err != nil {
			return "", err
		}
	}
	d, err := torch.Open("cpu")
	if err != nil {
		return "", err
	}
	m, err := blip.New(d, c, seed)
	if err != nil {
		return "", err
	}
	defer m.Close()
	f := &checkpoint.Folder{Config: c, Processor: imaging.DefaultProcessor(int(c.Vision.ImageSize)), Tokenizer: tok}
	return path, f.Save(path, m, "")
}
