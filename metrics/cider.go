package metrics

import "math"

// CIDEr's constants, as in pycocoevalcap's cider/cider_scorer.py.
const (
	ciderSigma = 6.0
	ciderScale = 10.0
)

// DocumentFrequencies says in how many pictures' references an n-gram stands:
// CIDEr's first pass. The zero value is an empty set.
type DocumentFrequencies struct {
	Images int64
	Counts map[string]int64 // by n-gram of one to four words, with single spaces between
}

// Add counts a picture's references, tokens with spaces between.
func (d *DocumentFrequencies) Add(references []string) {
	withCounter("", references, func(c *counter) { d.add(c) })
}

// add counts the references of a counter, and nothing of its prediction.
func (d *DocumentFrequencies) add(c *counter) {
	if d.Counts == nil {
		d.Counts = map[string]int64{}
	}
	d.Images++
	seen := resize(&c.best, len(c.ngrams))
	clear(seen)
	for i := range c.references {
		for _, g := range c.references[i].grams {
			if seen[g.id] == 0 {
				seen[g.id] = 1
				d.Counts[c.lexicon.text(c.ngrams[g.id])]++
			}
		}
	}
}

// Merge adds the pictures of another set. Both may share memory afterwards, so
// the other one must not be used any more.
func (d *DocumentFrequencies) Merge(o DocumentFrequencies) {
	d.Images += o.Images
	if d.Counts == nil {
		d.Counts = o.Counts
		return
	}
	for text, n := range o.Counts {
		d.Counts[text] += n
	}
}

// CiderScores are the two variants of CIDEr, from 0 to 10.
type CiderScores struct {
	D     float64 // CIDEr-D: what pycocoevalcap reports as CIDEr
	Plain float64 // CIDEr without clipping and length penalty, as vrama91/cider's "CIDEr"
}

// Cider scores a picture's prediction against its references, both tokens with
// spaces between, under the frequencies of a whole set. It only reads d.
func (d *DocumentFrequencies) Cider(prediction string, references []string) CiderScores {
	var s CiderScores
	withCounter(prediction, references, func(c *counter) { s = c.cider(d.weigh(c)) })
	return s
}

// cider scores the counter's picture with the given inverse document frequency
// of each n-gram. Sums run over n-grams as they first appear in a caption, the
// order of Python's dictionaries.
func (c *counter) cider(weights []float64) CiderScores {
	if len(c.references) == 0 {
		return CiderScores{}
	}
	vector := resize(&c.vector, len(c.ngrams))
	clear(vector)
	norms := lengths(&c.prediction, weights)
	var clipped, plain [maxOrder]float64
	for i := range c.references {
		r := &c.references[i]
		refNorms := lengths(r, weights)
		penalty := lengthPenalty(len2(&c.prediction) - len2(r))
		for _, g := range r.grams {
			vector[g.id] = float64(g.count) * weights[g.id]
		}
		for k := range maxOrder {
			dot, dotClipped := products(c.prediction.order(k), weights, vector)
			if norm := float64(norms[k] * refNorms[k]); norm != 0 {
				dot /= norm
				dotClipped /= norm
			}
			plain[k] += dot
			clipped[k] += float64(dotClipped * penalty)
		}
		for _, g := range r.grams {
			vector[g.id] = 0
		}
	}
	n := float64(len(c.references))
	return CiderScores{D: average(clipped) / n * ciderScale, Plain: average(plain) / n * ciderScale}
}

// weigh returns the inverse document frequency of each n-gram of a counter. An
// n-gram that no reference has counts as if one picture had it.
func (d *DocumentFrequencies) weigh(c *counter) []float64 {
	weights := resize(&c.weights, len(c.ngrams))
	all := math.Log(float64(max(1, d.Images)))
	for id, key := range c.ngrams {
		weights[id] = all - math.Log(float64(max(1, d.Counts[c.lexicon.text(key)])))
	}
	return weights
}

// lengths returns the Euclidean norm of a caption's vector for each order.
func lengths(c *caption, weights []float64) [maxOrder]float64 {
	var norms [maxOrder]float64
	for k := range maxOrder {
		for _, g := range c.order(k) {
			w := float64(g.count) * weights[g.id]
			norms[k] += float64(w * w)
		}
		norms[k] = math.Sqrt(norms[k])
	}
	return norms
}

// products returns the scalar product of a prediction's n-grams of one order
// with a reference's vector, and the same with the prediction's weights clipped
// to the reference's. The conversions keep the compiler from fusing a product
// with a sum, which would change the last digit from one machine to another.
func products(grams []gram, weights, vector []float64) (dot, clipped float64) {
	for _, g := range grams {
		r := vector[g.id]
		w := float64(g.count) * weights[g.id]
		dot += float64(w * r)
		clipped += float64(min(w, r) * r)
	}
	return dot, clipped
}

// len2 is the length that the penalty goes by: the number of bigrams.
func len2(c *caption) int { return max(0, c.words-1) }

func lengthPenalty(delta int) float64 {
	d := float64(delta)
	return math.Pow(math.E, -(d*d)/(2*ciderSigma*ciderSigma))
}

// average is the mean over orders.
func average(v [maxOrder]float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / maxOrder
}

// CiderStats adds up CIDEr: its second pass. The zero value is an empty set.
type CiderStats struct{ D, Plain Mean }

// Add adds a picture's scores.
func (s *CiderStats) Add(scores CiderScores) {
	s.D.Add(scores.D)
	s.Plain.Add(scores.Plain)
}

// Merge adds the pictures of another set.
func (s *CiderStats) Merge(o CiderStats) {
	s.D.Merge(o.D)
	s.Plain.Merge(o.Plain)
}

// Score returns the means over pictures.
func (s CiderStats) Score() CiderScores { return CiderScores{D: s.D.Value(), Plain: s.Plain.Value()} }
