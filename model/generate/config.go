package generate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
)

// Config carries the settings of a search under the keys of Hugging Face's
// GenerationConfig. The zero value is the reference's default: greedy, 20 new
// tokens, no processor; only the end ids have to be set for a sequence to end
// before its limit.
type Config struct {
	// NumBeams is the number of beams; 0 and 1 are greedy search.
	NumBeams int `json:"num_beams,omitempty"`
	// MaxNewTokens limits the tokens after the prompt, the end id included.
	// Where set it wins over MaxLength; where neither is set it is 20.
	MaxNewTokens int `json:"max_new_tokens,omitempty"`
	// MaxLength limits the whole sequence, the prompt included. A prompt that
	// fills it is an error, as in the reference.
	MaxLength int `json:"max_length,omitempty"`
	// MinNewTokens is the number of tokens after the prompt before the end id
	// is allowed. Where set it wins over MinLength.
	MinNewTokens int `json:"min_new_tokens,omitempty"`
	// MinLength is the same with the prompt counted.
	MinLength int `json:"min_length,omitempty"`
	// LengthPenalty is the power of the generated length by which a finished
	// beam's log-probability is divided: above 0 favours long captions, below
	// 0 short ones. nil is 1.
	LengthPenalty *float64 `json:"length_penalty,omitempty"`
	// EarlyStopping says when beam search stops.
	EarlyStopping EarlyStopping `json:"early_stopping,omitzero"`
	// RepetitionPenalty divides the positive and multiplies the negative
	// scores of the tokens a sequence has already (arXiv 1909.05858). 0 is 1:
	// none.
	RepetitionPenalty float64 `json:"repetition_penalty,omitempty"`
	// NoRepeatNGramSize forbids a second occurrence of any n-gram of this
	// size; 0 forbids nothing.
	NoRepeatNGramSize int `json:"no_repeat_ngram_size,omitempty"`
	// NumReturnSequences is how many hypotheses a picture returns, at most
	// NumBeams; 0 is 1.
	NumReturnSequences int `json:"num_return_sequences,omitempty"`
	// EOSTokenID are the ids that end a sequence: for BLIP the tokenizer's
	// [SEP], 102, and not the eos_token_id 2 of its text config.
	EOSTokenID TokenIDs `json:"eos_token_id,omitempty"`
	// BOSTokenID and PadTokenID travel with the file; the search uses neither.
	BOSTokenID *int32 `json:"bos_token_id,omitempty"`
	PadTokenID *int32 `json:"pad_token_id,omitempty"`
	// MaxPositions is the model's max_position_embeddings. As in the
	// reference it caps only the default length, that is where neither
	// MaxNewTokens nor MaxLength is set. 0 caps nothing.
	MaxPositions int `json:"-"`
}

// defaultNewTokens is what the reference generates where no limit is set.
const defaultNewTokens = 20

// Validate reports the first setting that cannot be: an error wrapping
// [ErrConfig] that names the field by its key.
func (c Config) Validate() error {
	for _, f := range []struct {
		key   string
		value int
	}{
		{"num_beams", c.NumBeams},
		{"max_new_tokens", c.MaxNewTokens},
		{"max_length", c.MaxLength},
		{"min_new_tokens", c.MinNewTokens},
		{"min_length", c.MinLength},
		{"no_repeat_ngram_size", c.NoRepeatNGramSize},
		{"num_return_sequences", c.NumReturnSequences},
		{"max_position_embeddings", c.MaxPositions},
	} {
		if f.value < 0 {
			return fmt.Errorf("%w: %s is %d, want 0 or more", ErrConfig, f.key, f.value)
		}
	}
	if p := c.LengthPenalty; p != nil && (math.IsNaN(*p) || math.IsInf(*p, 0)) {
		return fmt.Errorf("%w: length_penalty is %v, want a finite number", ErrConfig, *p)
	}
	if p := c.RepetitionPenalty; math.IsNaN(p) || math.IsInf(p, 0) || p < 0 {
		return fmt.Errorf("%w: repetition_penalty is %v, want a finite number above 0", ErrConfig, p)
	}
	if !c.EarlyStopping.valid() {
		return fmt.Errorf("%w: early_stopping is %q, want true, false or never", ErrConfig, string(c.EarlyStopping))
	}
	if beams, n := max(1, c.NumBeams), c.NumReturnSequences; n > beams {
		return fmt.Errorf("%w: num_return_sequences is %d, want at most num_beams (%d)", ErrConfig, n, beams)
	}
	for _, id := range c.EOSTokenID {
		if id < 0 {
			return fmt.Errorf("%w: eos_token_id has %d, want ids of 0 or more", ErrConfig, id)
		}
	}
	return nil
}

// Width is the number of rows each live picture has in a Step.
func (c Config) Width() int { return max(1, c.NumBeams) }

// Mode is the kind of scores that Generate asks a decoder for.
func (c Config) Mode() Mode {
	if c.Width() > 1 {
		return LogProbs
	}
	return Logits
}

// Lengths gives the limits that hold for a prompt of n tokens, both with the
// prompt counted: a sequence may end from shortest on and has to at longest.
// A decoder can size its cache by the second. If there is no room for a token
// the error wraps [ErrPrompt].
func (c Config) Lengths(n int) (shortest, longest int, err error) {
	switch {
	case c.MaxNewTokens > 0:
		longest = n + c.MaxNewTokens
	case c.MaxLength > 0:
		longest = c.MaxLength
	default:
		longest = n + defaultNewTokens
		if c.MaxPositions > 0 {
			longest = min(longest, c.MaxPositions)
		}
	}
	if n >= longest {
		return 0, 0, fmt.Errorf("%w has %d tokens but max_length is %d: set max_new_tokens instead or shorten it", ErrPrompt, n, longest)
	}
	shortest = c.MinLength
	if c.MinNewTokens > 0 {
		shortest = n + c.MinNewTokens
	}
	return shortest, longest, nil
}

// Hash names the settings in an output's provenance: 16 hex digits that are
// equal for two configs that mean the same, defaults spelled out or not.
func (c Config) Hash() string {
	s := c.settled()
	s.BOSTokenID, s.PadTokenID = nil, nil
	text, err := json.Marshal(s)
	if err != nil { // only a NaN or an infinity gets here: Validate refuses them
		text = fmt.Appendf(nil, "%v", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// settled spells the defaults out and drops what is overruled.
func (c Config) settled() Config {
	c.NumBeams = max(1, c.NumBeams)
	c.NumReturnSequences = max(1, c.NumReturnSequences)
	if c.LengthPenalty == nil {
		c.LengthPenalty = new(1.0)
	}
	if c.RepetitionPenalty == 0 {
		c.RepetitionPenalty = 1
	}
	if c.EarlyStopping == "" {
		c.EarlyStopping = StopHeuristic
	}
	switch {
	case c.MaxNewTokens > 0:
		c.MaxLength = 0
	case c.MaxLength == 0 && c.MaxPositions == 0:
		c.MaxNewTokens = defaultNewTokens
	}
	if c.MinNewTokens > 0 {
		c.MinLength = 0
	}
	return c
}
