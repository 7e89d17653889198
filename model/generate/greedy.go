package generate

import (
	"fmt"
	"math"
	"slices"
)

// greedy follows the most likely token. Its one row's scores are logits.
type greedy struct {
	rules
	tokens []int32
	sum    float64 // log-probability of the generated tokens
	raw    []float32
	ended  bool
}

func newGreedy(prompt []int32, r rules) *greedy {
	return &greedy{rules: r, tokens: slices.Clone(prompt)}
}

func (g *greedy) advance(scores [][]float32) ([]continuation, error) {
	logits := scores[0]
	norm := logSumExp(logits)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return nil, fmt.Errorf("token %d: %w", len(g.tokens), ErrNaN)
	}
	raw := logits
	if len(g.processors) > 0 {
		g.raw = append(g.raw[:0], logits...)
		raw = g.raw
		g.process(g.tokens, logits)
	}
	best := argmax(logits)
	g.sum += float64(raw[best]) - norm
	g.tokens = append(g.tokens, int32(best))
	g.ended = g.isEnd(int32(best))
	if g.ended || len(g.tokens) >= g.longest {
		return nil, nil
	}
	return []continuation{{token: int32(best)}}, nil
}

func (g *greedy) hypotheses() []Hypothesis {
	return []Hypothesis{{
		Tokens: g.tokens,
		Prompt: g.prompt,
		Score:  float32(g.sum) / g.divisor(len(g.tokens)-g.prompt),
		Ended:  g.ended,
	}}
}

// argmax returns the first index of the greatest value.
func argmax(values []float32) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// logSumExp returns log Σ exp(x), NaN if there is one among the values.
func logSumExp(values []float32) float64 {
	top := float64(values[argmax(values)])
	if math.IsInf(top, 0) {
		top = 0
	}
	var sum float64
	for _, v := range values {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}
