package metrics

import "math"

// Matches counts what BLEU needs of predictions and their references. Index k
// stands for n-grams of k+1 words.
type Matches struct {
	Correct          [maxOrder]int64 // n-grams that a reference has too, each at most as often as one reference has it
	Total            [maxOrder]int64 // n-grams of the predictions
	PredictionLength int64           // words of the predictions
	ReferenceLength  int64           // words of the reference closest in length, of two the shorter
}

// Merge adds the counts of another set of pictures.
func (m *Matches) Merge(o Matches) {
	for k := range maxOrder {
		m.Correct[k] += o.Correct[k]
		m.Total[k] += o.Total[k]
	}
	m.PredictionLength += o.PredictionLength
	m.ReferenceLength += o.ReferenceLength
}

// matches compares the counter's prediction with its references.
func (c *counter) matches() Matches {
	best := resize(&c.best, len(c.ngrams))
	clear(best)
	for i := range c.references {
		for _, g := range c.references[i].grams {
			best[g.id] = max(best[g.id], g.count)
		}
	}
	m := Matches{PredictionLength: int64(c.prediction.words), ReferenceLength: c.closestLength()}
	for k := range maxOrder {
		for _, g := range c.prediction.order(k) {
			m.Correct[k] += int64(min(g.count, best[g.id]))
		}
		m.Total[k] = max(0, m.PredictionLength-int64(k))
	}
	return m
}

// closestLength is the length of the reference closest in length to the
// prediction, or 0 without references.
func (c *counter) closestLength() int64 {
	closest, gap := 0, math.MaxInt
	for i := range c.references {
		n := c.references[i].words
		d := max(n-c.prediction.words, c.prediction.words-n)
		if d < gap || d == gap && n < closest {
			closest, gap = n, d
		}
	}
	return int64(closest)
}

// BleuStats adds up the counts of BLEU as pycocoevalcap computes it
// (bleu/bleu_scorer.py, option "closest"). The zero value is an empty set.
type BleuStats struct{ Matches }

// Add counts a picture. The prediction and the references are tokens with
// spaces between.
func (s *BleuStats) Add(prediction string, references []string) {
	withCounter(prediction, references, func(c *counter) { s.Matches.Merge(c.matches()) })
}

// Merge adds the counts of another set.
func (s *BleuStats) Merge(o BleuStats) { s.Matches.Merge(o.Matches) }

// The reference's guards against division by zero.
const (
	bleuTiny  = 1e-15
	bleuSmall = 1e-9
)

// Scores returns BLEU-1 to BLEU-4, from 0 to 1.
func (s BleuStats) Scores() [maxOrder]float64 {
	var scores [maxOrder]float64
	product := 1.0
	for k := range maxOrder {
		product *= (float64(s.Correct[k]) + bleuTiny) / (float64(s.Total[k]) + bleuSmall)
		scores[k] = math.Pow(product, 1/float64(k+1))
	}
	ratio := (float64(s.PredictionLength) + bleuTiny) / (float64(s.ReferenceLength) + bleuSmall)
	if ratio < 1 {
		for k := range scores {
			scores[k] *= math.Exp(1 - 1/ratio)
		}
	}
	return scores
}
