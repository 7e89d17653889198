// Package generate turns a decoder's next-token scores into captions: greedy
// and beam search over an injected [Decoder], free of any tensor library.
//
// # Behaviour
//
// The tokens are those of Hugging Face transformers' generate (5.23.0,
// generation/utils.py and generation/logits_process.py), token for token, for
// every setting [Config] carries: greedy where NumBeams is 1, beam search
// otherwise. Beam scores are added up, penalised and compared in float32 in
// the reference's order, so that near ties fall the same way, and exact ones as
// torch's CPU kernel lets them fall (torch 2.11.0; on a GPU torch itself
// decides otherwise). A returned
// beam's Score is the reference's sequences_scores: the sum of its
// log-probabilities, as the processors left them, over the number of generated
// tokens (the end token counts, the prompt does not) to the power of
// LengthPenalty.
//
// A prompt counts in MaxLength and MinLength, not in MaxNewTokens and
// MinNewTokens; the repetition penalty and the n-gram block see it.
//
// # A picture is alone in its batch
//
// Nothing a picture's search does depends on the other pictures: each is
// searched as the reference searches it in a batch of one, prompts may differ
// in length, and a finished picture's rows are absent from the next step.
//
// # Differences from the reference
//
//   - A hypothesis ends where it ends. The reference pads a batch to a
//     rectangle: with the pad id in greedy search; in beam search with the pad
//     id or, if that is 0, with the first end id.
//   - A batch of prompts padded on the left is searched by the reference with
//     the padding in the histories that the n-gram block and the length limits
//     see; here each prompt stands for itself.
//   - Greedy search reports a score too, see [Hypothesis].
//   - A NaN score is [ErrNaN]; the reference would follow it.
//   - Where the processors forbid every token that a picture has left, the
//     reference's answer depends on the batch; ours is the one of a batch of
//     one, and its score tells (−Inf or below −1e8).
//   - Sampling and the processors that Config does not carry are refused, see
//     [ErrUnsupported].
package generate

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrConfig is wrapped by every error about an impossible setting; the
	// message names the field by its Hugging Face key.
	ErrConfig = errors.New("generation config")
	// ErrUnsupported is wrapped where a generation_config.json asks for what
	// this package does not do and what would change the tokens.
	ErrUnsupported = errors.New("not supported")
	// ErrPrompt is wrapped where a prompt is empty, holds a negative id, or
	// leaves no room for a token under MaxLength.
	ErrPrompt = errors.New("prompt")
	// ErrScores is wrapped where a decoder's answer does not have the shape
	// that was asked for.
	ErrScores = errors.New("decoder scores")
	// ErrNaN is wrapped where a decoder's scores hold a NaN, or logits whose
	// softmax would: +Inf, or nothing but −Inf.
	ErrNaN = errors.New("score is NaN")
)

// Mode says what a decoder's scores are.
type Mode int

const (
	// Logits are the raw outputs of the language-model head. Greedy search
	// asks for them, since the repetition penalty depends on their sign.
	Logits Mode = iota
	// LogProbs are their log-softmax, taken in float32. Beam search asks for
	// them: the tensor library's own kernel rounds as the reference does.
	LogProbs
)

// Row is one live sequence of a step.
type Row struct {
	// Parent is the row of the previous step (or of Start) that this row
	// continues: the decoder's key-value cache is gathered by it.
	Parent int
	// Picture is the index of the row's prompt in Start.
	Picture int
	// Token is the token to append.
	Token int32
}

// Decoder is what a search drives. The tensor side implements it and keeps the
// key-value cache.
//
// Generate calls both from its own goroutine, so that a decoder may be bound to
// a thread. Both methods return one slice of V next-token scores (float32, of the mode
// given to Start) per row, all of one length. The scores belong to the search
// until the next call: it changes them in place, and the decoder may use the
// memory again in that call. An error ends the search and is returned wrapped.
type Decoder interface {
	// Start reads the prompts, one per picture and one row each whatever the
	// number of beams; their lengths may differ. It returns
	// scores[len(prompts)][V].
	Start(prompts [][]int32, mode Mode) ([][]float32, error)
	// Step appends a token to each row. Rows are ordered by picture; each
	// picture that is not finished has Width rows side by side, and a finished
	// one has none from then on. In the first Step every row of a picture has
	// its Start row as parent. It returns scores[len(rows)][V]. The slice of
	// rows is the search's own: it may be read until Step returns.
	Step(rows []Row) ([][]float32, error)
}

// Hypothesis is one finished sequence.
type Hypothesis struct {
	// Tokens are the prompt and what was generated, the end id included where
	// the sequence reached one.
	Tokens []int32
	// Prompt is the number of leading tokens that are the prompt.
	Prompt int
	// Score is, in beam search, the reference's sequences_scores (see the
	// package comment). Greedy search, for which the reference has no such
	// score, gives the model's own log-probability of the generated tokens,
	// before any processor, divided in the same way: without processors the
	// same sequence has the same score in both, but for rounding.
	Score float32
	// Ended reports whether the sequence stopped at an end id rather than at
	// the length limit.
	Ended bool
}

// Generated returns the tokens after the prompt.
func (h Hypothesis) Generated() []int32 { return h.Tokens[h.Prompt:] }

// Generate decodes one picture per prompt and returns its NumReturnSequences
// best hypotheses, best first. prompts[i] is what picture i's row starts with:
// at least one token (for BLIP the begin id 30522, then the prompt's words).
// The context is looked at before every call of the decoder; its error is
// returned wrapped. No prompts give no result, and the decoder is not called.
func Generate(ctx context.Context, d Decoder, prompts [][]int32, c Config) ([][]Hypothesis, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if len(prompts) == 0 {
		return nil, nil
	}
	b, err := newBatch(prompts, c.settled())
	if err != nil {
		return nil, err
	}
	if err := b.run(ctx, d, prompts); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	out := make([][]Hypothesis, len(b.searches))
	for i, s := range b.searches {
		out[i] = s.hypotheses()
	}
	return out, nil
}
