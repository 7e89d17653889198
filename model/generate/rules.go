package generate

import (
	"math"
	"slices"
)

// rules are what holds for every sequence of a picture.
type rules struct {
	processors []processor
	ends       []int32 // ids that end a sequence
	prompt     int     // tokens of the prompt
	longest    int     // greatest length, prompt included
	penalty    float64 // length penalty
}

// process lets every processor change the scores of one row in place.
func (r rules) process(tokens []int32, scores []float32) {
	for _, p := range r.processors {
		p(tokens, scores)
	}
}

func (r rules) isEnd(token int32) bool { return slices.Contains(r.ends, token) }

// divisor is what a log-probability is divided by for n generated tokens:
// rounded to float32 as torch does with the scalar of a float32 division.
func (r rules) divisor(n int) float32 {
	return float32(math.Pow(float64(n), r.penalty))
}

// processor changes the next-token scores of a row, given its tokens so far.
type processor func(tokens []int32, scores []float32)

var minusInf = float32(math.Inf(-1))

// newProcessors returns the processors that a config turns on, in the
// reference's order. shortest is the length from which a sequence may end.
func newProcessors(c Config, shortest int) []processor {
	var list []processor
	if c.RepetitionPenalty != 1 {
		list = append(list, repetitionPenalty(float32(c.RepetitionPenalty)))
	}
	if c.NoRepeatNGramSize > 0 {
		list = append(list, noRepeatNGram(c.NoRepeatNGramSize))
	}
	if shortest > 0 && len(c.EOSTokenID) > 0 {
		list = append(list, minLength(shortest, c.EOSTokenID))
	}
	return list
}

// repetitionPenalty makes each token of the sequence less likely, once however
// often it stands there.
func repetitionPenalty(penalty float32) processor {
	return func(tokens []int32, scores []float32) {
		for i, id := range tokens {
			if int(id) >= len(scores) || slices.Contains(tokens[:i], id) {
				continue
			}
			if s := scores[id]; s < 0 {
				scores[id] = s * penalty
			} else {
				scores[id] = s / penalty
			}
		}
	}
}

// noRepeatNGram forbids every token that has followed the last n−1 before.
func noRepeatNGram(n int) processor {
	return func(tokens []int32, scores []float32) {
		if len(tokens) < n {
			return
		}
		tail := tokens[len(tokens)-n+1:]
		for i := 0; i+n <= len(tokens); i++ {
			id := tokens[i+n-1]
			if int(id) < len(scores) && slices.Equal(tokens[i:i+n-1], tail) {
				scores[id] = minusInf
			}
		}
	}
}

// minLength forbids the end ids in sequences shorter than n.
func minLength(n int, ends []int32) processor {
	return func(tokens []int32, scores []float32) {
		if len(tokens) >= n {
			return
		}
		for _, id := range ends {
			if int(id) < len(scores) {
				scores[id] = minusInf
			}
		}
	}
}
