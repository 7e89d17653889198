package metrics

import (
	"math/bits"
	"strings"
)

// rougeBeta weighs recall against precision, as pycocoevalcap's rouge/rouge.py
// does.
const rougeBeta = 1.2

// RougeStats adds up ROUGE-L. The zero value is an empty set.
type RougeStats struct{ Mean Mean }

// Add scores a picture, adds its score and returns it. The prediction and the
// references are tokens with spaces between.
func (s *RougeStats) Add(prediction string, references []string) float64 {
	score := RougeL(prediction, references)
	s.Mean.Add(score)
	return score
}

// Merge adds the pictures of another set.
func (s *RougeStats) Merge(o RougeStats) { s.Mean.Merge(o.Mean) }

// Score returns the mean over pictures.
func (s RougeStats) Score() float64 { return s.Mean.Value() }

// RougeL returns ROUGE-L of one picture, from 0 to 1. Unlike the other metrics
// it splits at spaces only, so that an empty caption is one empty token: two
// empty captions agree.
func RougeL(prediction string, references []string) float64 {
	var l subsequence
	l.set(strings.Split(prediction, " "))
	var precision, recall float64
	for _, r := range references {
		tokens := strings.Split(r, " ")
		common := float64(l.common(tokens))
		precision = max(precision, common/float64(l.tokens))
		recall = max(recall, common/float64(len(tokens)))
	}
	if precision == 0 || recall == 0 {
		return 0
	}
	const b2 = rougeBeta * rougeBeta
	return float64((1+b2)*precision*recall) / (recall + float64(b2*precision))
}

// subsequence finds the length of the longest common subsequence of a sentence
// with others, 64 cells of the usual table at a time: the rows' differences are
// bits (Hyyrö, Bit-parallel LCS-length computation revisited, 2004).
type subsequence struct {
	tokens int
	masks  map[string][]uint64 // by token: the places in the sentence where it stands
	row    []uint64            // by place: 0 where the row's value grows
}

// set takes the sentence.
func (l *subsequence) set(tokens []string) {
	l.tokens = len(tokens)
	words := (len(tokens) + 63) / 64
	l.row = make([]uint64, words)
	l.masks = make(map[string][]uint64, len(tokens))
	cells := make([]uint64, words*len(tokens))
	for i, t := range tokens {
		if l.masks[t] == nil {
			l.masks[t], cells = cells[:words], cells[words:]
		}
		l.masks[t][i/64] |= 1 << (i % 64)
	}
}

// common returns the length of the longest common subsequence.
func (l *subsequence) common(tokens []string) int {
	for i := range l.row {
		l.row[i] = ^uint64(0)
	}
	for _, t := range tokens {
		mask := l.masks[t]
		if mask == nil {
			continue
		}
		var carry uint64
		for i, v := range l.row {
			u := v & mask[i]
			var sum uint64
			sum, carry = bits.Add64(v, u, carry)
			l.row[i] = sum | (v &^ mask[i])
		}
	}
	n := 0
	for i, v := range l.row {
		if rest := l.tokens - 64*i; rest < 64 {
			v |= ^uint64(0) << rest
		}
		n += bits.OnesCount64(^v)
	}
	return n
}
