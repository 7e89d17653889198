package records

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
)

// Meta says how a shard was made. It stands in the file's key-value metadata
// under keys that begin with "blipflow.".
type Meta struct {
	// Dataset is the name of the data set.
	Dataset string `json:"dataset"`
	// Split is the split that all rows of the shard belong to.
	Split string `json:"split"`
	// SplitSeed is the seed of the split.
	SplitSeed int64 `json:"split_seed"`
	// PixelFormat is how the pixels are stored.
	PixelFormat PixelFormat `json:"pixel_format"`
	// Processor is the image processor's settings as JSON.
	Processor string `json:"processor"`
	// ProcessorHash is the Fingerprint of those settings.
	ProcessorHash string `json:"processor_hash"`
	// TokenizerHash is the fingerprint of the tokenizer, first token and
	// maximum length included; empty where there are no token ids.
	TokenizerHash string `json:"tokenizer_hash"`
	// Program is the program and version that wrote the shard.
	Program string `json:"program"`
	// JPEGDecoder names the decoder of JPEG files, since two of them may
	// differ by some levels ("libjpeg-turbo 2.1.5", "image/jpeg").
	JPEGDecoder string `json:"jpeg_decoder"`
}

// Errors of [Meta.Compatible].
var (
	// ErrOtherProcessor: the pixels were made with other processor settings.
	ErrOtherProcessor = errors.New("made with another image processor")
	// ErrOtherTokenizer: the token ids belong to another vocabulary.
	ErrOtherTokenizer = errors.New("made with another tokenizer")
)

// Compatible reports whether a model with this processor and tokenizer can use
// the shard. It returns nil, ErrOtherProcessor or ErrOtherTokenizer.
func (m Meta) Compatible(processorHash, tokenizerHash string) error {
	if m.ProcessorHash != processorHash {
		return fmt.Errorf("%w: shard has %s, model has %s", ErrOtherProcessor, short(m.ProcessorHash), short(processorHash))
	}
	if m.TokenizerHash != tokenizerHash {
		return fmt.Errorf("%w: shard has %s, model has %s", ErrOtherTokenizer, short(m.TokenizerHash), short(tokenizerHash))
	}
	return nil
}

func short(hash string) string {
	if hash == "" {
		return "none"
	}
	return hash[:min(12, len(hash))]
}

// Fingerprint returns the SHA-256, in hex, of v's JSON: a name for settings
// that is the same wherever they are the same. It panics if v has no JSON, which
// is a mistake in the program.
func Fingerprint(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("records: fingerprint of %T: %v", v, err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Program is the name and version of the running program, for Meta.Program.
func Program() string {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return "blipflow " + version
}

const metaPrefix = "blipflow."

// pairs are the metadata's keys and values, in the order they are written in.
func (m Meta) pairs() [][2]string {
	return [][2]string{
		{metaPrefix + "dataset", m.Dataset},
		{metaPrefix + "split", m.Split},
		{metaPrefix + "split_seed", strconv.FormatInt(m.SplitSeed, 10)},
		{metaPrefix + "pixel_format", string(m.PixelFormat)},
		{metaPrefix + "processor", m.Processor},
		{metaPrefix + "processor_hash", m.ProcessorHash},
		{metaPrefix + "tokenizer_hash", m.TokenizerHash},
		{metaPrefix + "program", m.Program},
		{metaPrefix + "jpeg_decoder", m.JPEGDecoder},
	}
}

// metaFrom reads the metadata back through lookup.
func metaFrom(lookup func(key string) (string, bool)) (Meta, error) {
	get := func(key string) string {
		v, _ := lookup(metaPrefix + key)
		return v
	}
	m := Meta{
		Dataset: get("dataset"), Split: get("split"),
		PixelFormat: PixelFormat(get("pixel_format")),
		Processor:   get("processor"), ProcessorHash: get("processor_hash"),
		TokenizerHash: get("tokenizer_hash"),
		Program:       get("program"), JPEGDecoder: get("jpeg_decoder"),
	}
	if !m.PixelFormat.Valid() {
		return Meta{}, fmt.Errorf("%w: its metadata names no pixel format of ours (%q)", ErrNotExamples, m.PixelFormat)
	}
	seed, err := strconv.ParseInt(get("split_seed"), 10, 64)
	if err != nil {
		return Meta{}, fmt.Errorf("%w: split_seed %q is no number", ErrNotExamples, get("split_seed"))
	}
	m.SplitSeed = seed
	return m, nil
}
