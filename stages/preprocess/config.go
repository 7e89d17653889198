package preprocess

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// Config says what to make of a data set. Output and Processor must be set.
type Config struct {
	// Output is the folder for the shards.
	Output string
	// Processor resizes the pictures, and normalises them for Float32.
	Processor imaging.Processor
	// Decode changes how pictures are decoded.
	Decode imaging.DecodeOptions
	// Text makes the token ids. Nil makes none.
	Text *Text
	// PixelFormat is how pixels are stored. Empty means records.Uint8.
	PixelFormat records.PixelFormat
	// Shares are those of the splits, for pictures of which the data set does not
	// say. Zero means DefaultShares.
	Shares Shares
	// SplitSeed is the seed of the split.
	SplitSeed int64
	// ShuffleSeed is the seed of the order of rows in the shards. 0 means that of
	// the split.
	ShuffleSeed int64
	// Dedupe drops near-duplicates of pictures in another split, which makes it
	// decode every picture twice; otherwise they are counted only.
	Dedupe bool
	// NearDistance is the largest distance of the perceptual hashes of
	// near-duplicates, in bits of 64. 0 means DefaultNearDistance.
	NearDistance int
	// ShardBytes is about how large a shard is before compression. 0 means 256 MiB.
	ShardBytes int64
	// ChunkSize is the number of references in an element. It changes nothing
	// but the time it takes. 0 means 256.
	ChunkSize int
	// Workers is the number of pictures that a process works on at a time. 0
	// means as many as it has processors.
	Workers int
}

// DefaultShardBytes is the size of a shard where Config sets none.
const DefaultShardBytes = 256 << 20

// settled returns c with its defaults filled in, or what is wrong with it.
func (c Config) settled() (Config, error) {
	if c.Output == "" {
		return c, errors.New("no output folder")
	}
	if err := c.Processor.Validate(); err != nil {
		return c, err
	}
	if c.PixelFormat == "" {
		c.PixelFormat = records.Uint8
	}
	if !c.PixelFormat.Valid() {
		return c, fmt.Errorf("unknown pixel format %q", c.PixelFormat)
	}
	if c.Shares == (Shares{}) {
		c.Shares = DefaultShares
	}
	if err := c.Shares.validate(); err != nil {
		return c, err
	}
	if err := c.Text.validate(); err != nil {
		return c, err
	}
	if c.NearDistance <= 0 {
		c.NearDistance = DefaultNearDistance
	}
	if c.ShardBytes <= 0 {
		c.ShardBytes = DefaultShardBytes
	}
	if c.ChunkSize <= 0 {
		c.ChunkSize = 256
	}
	return c, nil
}

// workers is the number of pictures to work on at a time, in this process.
func workers(asked int) int {
	if asked > 0 {
		return asked
	}
	return runtime.GOMAXPROCS(0)
}

// rowBytes is about what a row holds.
func (c Config) rowBytes() int64 {
	const text = 1 << 10
	if !c.Processor.DoResize {
		return 1 << 20 // pictures of any size; a guess
	}
	n := 3 * int64(c.Processor.Height) * int64(c.Processor.Width)
	if c.PixelFormat == records.Float32 {
		n *= 4
	}
	return n + text
}

// layout changes when the same settings give other files than before.
const layout = 2

// settingsHash names the settings and the data set: outputs with one name are
// the same.
func (c Config) settingsHash(set *dataset.Set) string {
	library, _ := imaging.JPEGLibrary() // why it is that one does not matter here
	return records.Fingerprint(map[string]any{
		"layout": layout, "dataset": set.Name, "identity": set.Identity,
		"processor": c.Processor.Hash(), "decode": c.Decode, "jpeg": library,
		"text": c.Text, "pixels": c.PixelFormat,
		"shares": c.Shares, "seed": c.SplitSeed, "shuffle": c.ShuffleSeed, "shard_bytes": c.ShardBytes,
		"dedupe": c.Dedupe, "near": c.NearDistance,
	})
}

// Text makes captions into token ids as BLIP reads them in training: the
// WordPiece ids of prompt and caption between First and [SEP], cut to MaxLength
// ids. The captions themselves stay as people wrote them, since they are what
// predictions are scored against.
//
// It holds the tokenizer as plain values, so that it can travel to a worker that
// does not have the model's folder.
type Text struct {
	// Tokens is the vocabulary, by id, without the tokens added to it.
	Tokens []string
	// Options are the tokenizer's settings.
	Options text.Options
	// First is the id that begins a caption: bos_token_id of the model's text
	// config, [DEC]. It takes the place of the tokenizer's own [CLS].
	First int32
	// MaxLength is the most ids of a caption, First and [SEP] included
	// (max_txt_len). 0 means no limit.
	MaxLength int
	// Clean makes captions lower case and takes punctuation out of them, as
	// text.Clean says.
	Clean bool `json:",omitempty"`
	// MaxWords cuts captions after so many words. 0 means no limit.
	MaxWords int `json:",omitempty"`
	// Prompt begins every caption. A space between the two need not be in it.
	// Training takes its ids as given: see PromptTokens.
	Prompt string `json:",omitempty"`
}

// NewText takes a tokenizer apart. First need not be one of its ids: the hub's
// BLIP folders have a [DEC] in the model and none in the tokenizer.
func NewText(t *text.Tokenizer, first int32, maxLength int) (*Text, error) {
	x := &Text{Options: t.Options(), First: first, MaxLength: maxLength}
	added := map[string]bool{}
	for _, a := range x.Options.Added {
		added[a.Content] = true
	}
	for id := range t.Size() {
		token, _ := t.Token(int32(id)) // ids below Size have one
		x.Tokens = append(x.Tokens, token)
	}
	// Tokens at the end may be of the vocabulary or added to it, which the ids
	// alone don't tell.
	for {
		again, err := x.tokenizer()
		if err == nil && again.Hash() == t.Hash() {
			return x, nil
		}
		last := len(x.Tokens) - 1
		if last < 0 || !added[x.Tokens[last]] {
			return nil, errors.Join(errors.New("the tokenizer cannot be sent to a worker"), err)
		}
		x.Tokens = x.Tokens[:last]
	}
}

// tokenizer puts the tokenizer together again.
func (x *Text) tokenizer() (*text.Tokenizer, error) {
	t, err := text.New(x.Tokens, x.Options)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

// Hash names the vocabulary and what token ids a model may find in a shard, for
// records.Meta.TokenizerHash. What is done to a caption before is not in it: a
// model reads cleaned captions as others. It is empty for a nil Text.
func (x *Text) Hash() string {
	if x == nil {
		return ""
	}
	plain := *x
	plain.Clean, plain.MaxWords, plain.Prompt = false, 0, ""
	return records.Fingerprint(plain)
}

// encode returns the ids of a caption; none if it has no word.
func (x *Text) encode(t *text.Tokenizer, caption string) []int32 {
	if x.Clean {
		caption = text.Clean(caption)
	}
	caption = text.FirstWords(caption, x.MaxWords)
	ids := t.EncodeWithSpecials(caption, x.MaxLength)
	if len(ids) <= 2 { // nothing between [CLS] and [SEP]
		return nil
	}
	if prompt := x.prompt(); prompt != "" {
		ids = t.EncodeWithSpecials(prompt+" "+caption, x.MaxLength)
	}
	ids[0] = x.First
	return ids
}

func (x *Text) prompt() string {
	if x == nil {
		return ""
	}
	return text.OneLine(x.Prompt)
}

// PromptTokens is how many ids of a caption, after First, are the prompt's.
func (x *Text) PromptTokens() (int, error) {
	if x.prompt() == "" {
		return 0, nil
	}
	t, err := x.tokenizer()
	if err != nil {
		return 0, err
	}
	return len(t.Encode(x.prompt())), nil
}

// validate refuses a prompt that leaves a caption no room.
func (x *Text) validate() error {
	n, err := x.PromptTokens()
	if err != nil {
		return err
	}
	if n > 0 && x.MaxLength > 0 && n+3 > x.MaxLength {
		return fmt.Errorf("the prompt has %d tokens, which with the first and the last leaves no room for a caption of %d", n, x.MaxLength)
	}
	return nil
}
