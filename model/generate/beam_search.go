package generate

import (
	"fmt"
	"slices"
)

// out is added to the score of what must not be chosen. It is the reference's
// number, and finite: the sums round in float32 as they do there.
const out float32 = -1e9

// beam is a sequence with its score: the running sum of log-probabilities
// while it grows, the penalised one once it has finished.
type beam struct {
	tokens   []int32
	parent   int // row of this step that it continues
	score    float32
	finished bool
}

// beamSearch keeps the n best running sequences and the n best finished ones.
type beamSearch struct {
	rules
	early    EarlyStopping
	keep     int // candidates drawn at each step
	returned int // hypotheses to return
	running  []beam
	done     []beam
}

func newBeamSearch(prompt []int32, c Config, r rules) *beamSearch {
	n := c.NumBeams
	s := &beamSearch{
		rules: r,
		early: c.EarlyStopping,
		// Each beam has at most one candidate per end id, so that n of these
		// can always go on.
		keep:     max(2, 1+len(r.ends)) * n,
		returned: c.NumReturnSequences,
		running:  make([]beam, n),
		done:     make([]beam, n),
	}
	// All beams begin equal: only the first is to have descendants.
	for i := range n {
		s.running[i] = beam{tokens: prompt, score: out}
		s.done[i] = beam{tokens: prompt, score: out}
	}
	s.running[0].score = 0
	return s
}

func (s *beamSearch) advance(scores [][]float32) ([]continuation, error) {
	candidates, err := s.candidates(scores)
	if err != nil {
		return nil, err
	}
	length := len(s.running[0].tokens) + 1
	ending := make([]bool, len(candidates)) // reached an end id or the limit
	stuck := true
	for i, c := range candidates {
		ending[i] = length >= s.longest || s.isEnd(c.tokens[length-1])
		stuck = stuck && ending[i]
	}
	s.grow(candidates, ending)
	s.collect(candidates, ending, length-s.prompt)
	if stuck || !s.canImprove(length-s.prompt) || s.early == StopWhenFull && s.full() {
		return nil, nil
	}
	next := make([]continuation, len(s.running))
	for i, b := range s.running {
		next[i] = continuation{parent: b.parent, token: b.tokens[length-1]}
	}
	return next, nil
}

// candidates returns the best continuations of the running beams, best first.
func (s *beamSearch) candidates(scores [][]float32) ([]beam, error) {
	n, vocab := len(s.running), len(scores[0])
	if n*vocab < s.keep {
		return nil, fmt.Errorf("%w: %d tokens are too few for %d beams and %d end ids", ErrScores, vocab, n, len(s.ends))
	}
	for i, row := range scores {
		s.process(s.running[i].tokens, row)
	}
	t := newTop(s.keep, n*vocab)
	for i, b := range s.running {
		row := scores[min(i, len(scores)-1)] // one row for all in the first step
		if err := t.add(row, b.score, i*vocab); err != nil {
			return nil, fmt.Errorf("token %d: %w", len(b.tokens), err)
		}
	}
	best := t.sorted()
	list := make([]beam, len(best))
	for i, c := range best {
		parent, token := c.index/vocab, int32(c.index%vocab)
		tokens := s.running[parent].tokens
		list[i] = beam{
			tokens: append(slices.Clip(tokens), token),
			parent: min(parent, len(scores)-1),
			score:  c.score,
		}
	}
	return list, nil
}

// grow makes the best candidates that have not ended the running beams.
func (s *beamSearch) grow(candidates []beam, ending []bool) {
	pool := slices.Clone(candidates)
	for i := range pool {
		if ending[i] {
			pool[i].score += out
		}
	}
	s.running = best(pool, len(s.running))
}

// collect puts candidates that have ended among the finished sequences, if
// they are better than what is there. Only the first n may enter: those after
// them are drawn to keep n beams running.
func (s *beamSearch) collect(candidates []beam, ending []bool, generated int) {
	divisor := s.divisor(generated)
	pool := slices.Clone(s.done)
	for i, c := range candidates {
		c.finished = ending[i] && i < len(s.running)
		c.score /= divisor
		if !c.finished {
			c.score += out
		}
		pool = append(pool, c)
	}
	s.done = best(pool, len(s.done))
}

func (s *beamSearch) full() bool {
	return !slices.ContainsFunc(s.done, func(b beam) bool { return !b.finished })
}

// canImprove compares the best that the first running beam can come to with
// the worst finished sequence. The length it counts with is the reference's
// heuristic: see EarlyStopping.
func (s *beamSearch) canImprove(generated int) bool {
	if s.early == StopNever && s.penalty > 0 {
		generated = s.longest - s.prompt
	}
	possible := s.running[0].score / s.divisor(generated)
	worst := s.done[len(s.done)-1].score // they are sorted
	return slices.ContainsFunc(s.done, func(b beam) bool {
		if !b.finished {
			return possible > out
		}
		return possible > worst
	})
}

func (s *beamSearch) hypotheses() []Hypothesis {
	list := make([]Hypothesis, s.returned)
	for i := range list {
		b := s.done[i]
		list[i] = Hypothesis{
			Tokens: b.tokens,
			Prompt: s.prompt,
			Score:  b.score,
			Ended:  s.isEnd(b.tokens[len(b.tokens)-1]),
		}
	}
	return list
}
