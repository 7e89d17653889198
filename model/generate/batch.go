package generate

import (
	"context"
	"fmt"
)

// search is one picture's way through its sequences. Another strategy than
// greedy and beam search is another implementation of it.
type search interface {
	// advance takes the scores of the picture's rows, of one length, and says
	// how each row of the next step continues one of them. None is the end.
	advance(scores [][]float32) ([]continuation, error)
	// hypotheses returns the best first, once advance has returned none.
	hypotheses() []Hypothesis
}

// continuation appends a token to one of the picture's own rows.
type continuation struct {
	parent int
	token  int32
}

// batch runs the searches of several pictures side by side.
type batch struct {
	searches []search
	mode     Mode
}

func newBatch(prompts [][]int32, c Config) (*batch, error) {
	b := &batch{searches: make([]search, len(prompts)), mode: c.Mode()}
	for i, prompt := range prompts {
		s, err := newSearch(prompt, c)
		if err != nil {
			return nil, fmt.Errorf("picture %d: %w", i, err)
		}
		b.searches[i] = s
	}
	return b, nil
}

func newSearch(prompt []int32, c Config) (search, error) {
	if len(prompt) == 0 {
		return nil, fmt.Errorf("%w is empty, want at least the begin id", ErrPrompt)
	}
	for _, id := range prompt {
		if id < 0 {
			return nil, fmt.Errorf("%w has the negative id %d", ErrPrompt, id)
		}
	}
	shortest, longest, err := c.Lengths(len(prompt))
	if err != nil {
		return nil, err
	}
	r := rules{
		processors: newProcessors(c, shortest),
		ends:       c.EOSTokenID,
		prompt:     len(prompt),
		longest:    longest,
		penalty:    *c.LengthPenalty,
	}
	if c.NumBeams == 1 {
		return newGreedy(prompt, r), nil
	}
	return newBeamSearch(prompt, c, r), nil
}

// run drives the decoder until every search has ended.
func (b *batch) run(ctx context.Context, d Decoder, prompts [][]int32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	scores, err := d.Start(prompts, b.mode)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	rows := make([]Row, len(prompts)) // what scores belong to
	for i := range rows {
		rows[i].Picture = i
	}
	for step := 1; ; step++ {
		if err := checkScores(scores, len(rows)); err != nil {
			return err
		}
		if rows, err = b.advance(scores, rows); err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if scores, err = d.Step(rows); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
}

// advance hands each live picture the scores of its rows and gathers the next
// step's.
func (b *batch) advance(scores [][]float32, rows []Row) ([]Row, error) {
	var next []Row
	for first := 0; first < len(rows); {
		picture, last := rows[first].Picture, first
		for last < len(rows) && rows[last].Picture == picture {
			last++
		}
		chosen, err := b.searches[picture].advance(scores[first:last])
		if err != nil {
			return nil, fmt.Errorf("picture %d: %w", picture, err)
		}
		for _, c := range chosen {
			next = append(next, Row{Parent: first + c.parent, Picture: picture, Token: c.token})
		}
		first = last
	}
	return next, nil
}

func checkScores(scores [][]float32, rows int) error {
	if len(scores) != rows {
		return fmt.Errorf("%w: %d rows, want %d", ErrScores, len(scores), rows)
	}
	for i, s := range scores {
		if len(s) == 0 || len(s) != len(scores[0]) {
			return fmt.Errorf("%w: row %d has %d scores, row 0 has %d", ErrScores, i, len(s), len(scores[0]))
		}
	}
	return nil
}
