package generate

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
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

// span is the rows of one picture in a step, and what its search made of them.
type span struct {
	first, last int
	chosen      []continuation
	err         error
}

// advance hands each live picture the scores of its rows and gathers the next
// step's.
func (b *batch) advance(scores [][]float32, rows []Row) ([]Row, error) {
	spans := spansOf(rows)
	each(len(spans), len(rows)*len(scores[0]), func(i int) {
		s := &spans[i]
		s.chosen, s.err = b.searches[rows[s.first].Picture].advance(scores[s.first:s.last])
	})
	var next []Row
	for _, s := range spans {
		picture := rows[s.first].Picture
		if s.err != nil {
			return nil, fmt.Errorf("picture %d: %w", picture, s.err)
		}
		for _, c := range s.chosen {
			next = append(next, Row{Parent: s.first + c.parent, Picture: picture, Token: c.token})
		}
	}
	return next, nil
}

func spansOf(rows []Row) []span {
	var spans []span
	for i, r := range rows {
		if i == 0 || r.Picture != rows[i-1].Picture {
			spans = append(spans, span{first: i})
		}
		spans[len(spans)-1].last = i + 1
	}
	return spans
}

// manyScores is about how many scores are looked at in the time that it takes
// to start a goroutine, ten times over.
const manyScores = 1 << 15

// each calls do for 0 to n−1, on several goroutines if there are many scores
// to look at: the decoder waits meanwhile, so that the cores are free.
func each(n, scores int, do func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0), 1+scores/manyScores)
	var at atomic.Int64
	work := func() {
		for i := int(at.Add(1)) - 1; i < n; i = int(at.Add(1)) - 1 {
			do(i)
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
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
