package generate

import (
	"slices"
	"testing"
)

func TestProcessors(t *testing.T) {
	inf := minusInf
	for _, tt := range []struct {
		name     string
		p        processor
		tokens   []int32
		in, want []float32
	}{
		{"repetition: by sign, once", repetitionPenalty(2), []int32{0, 1, 1, 9}, []float32{4, -4, 4}, []float32{2, -8, 4}},
		{"repetition: below 1 rewards", repetitionPenalty(0.5), []int32{0, 1}, []float32{4, -4, 0}, []float32{8, -2, 0}},
		{"repetition: forbidden stays so", repetitionPenalty(2), []int32{0}, []float32{inf, 1}, []float32{inf, 1}},
		{"bigrams", noRepeatNGram(2), []int32{1, 2, 0, 1}, []float32{1, 1, 1}, []float32{1, 1, inf}},
		{"trigrams", noRepeatNGram(3), []int32{1, 2, 0, 1, 2}, []float32{1, 1, 1}, []float32{inf, 1, 1}},
		{"trigrams: only two match", noRepeatNGram(3), []int32{0, 2, 0, 1, 2}, []float32{1, 1, 1}, []float32{1, 1, 1}},
		{"unigrams: all that was", noRepeatNGram(1), []int32{2, 0, 7}, []float32{1, 1, 1}, []float32{inf, 1, inf}},
		{"too short", noRepeatNGram(3), []int32{1, 1}, []float32{1, 1}, []float32{1, 1}},
		{"overlapping", noRepeatNGram(2), []int32{1, 1}, []float32{1, 1}, []float32{1, inf}},
		{"min length", minLength(3, []int32{1, 9}), []int32{0, 0}, []float32{1, 1}, []float32{1, inf}},
		{"min length reached", minLength(2, []int32{1}), []int32{0, 0}, []float32{1, 1}, []float32{1, 1}},
	} {
		got := slices.Clone(tt.in)
		tt.p(tt.tokens, got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
