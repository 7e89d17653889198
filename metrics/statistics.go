package metrics

import "github.com/blipflow/blipflow/metrics/meteor"

// Statistics are what a set of pictures adds up to: all its scores follow from
// them. The zero value is an empty set.
type Statistics struct {
	// Images is how many pictures the set has.
	Images int64
	// Metrics says which of the others are there.
	Metrics Metric

	Bleu   BleuStats
	Rouge  RougeStats
	Sacre  SacreBleuStats
	Cider  CiderStats
	Meteor meteor.Stats
	// Spice is the mean over the pictures that have a SPICE score: it may be
	// computed for a sample alone.
	Spice Mean
}

// Merge adds the pictures of another set.
func (s *Statistics) Merge(o Statistics) { s.MergeTimes(o, 1) }

// MergeTimes adds the pictures of another set as if each were there n times.
func (s *Statistics) MergeTimes(o Statistics, n int64) {
	if n == 0 {
		return
	}
	s.Images += n * o.Images
	s.Metrics |= o.Metrics
	s.Bleu.Merge(BleuStats{o.Bleu.times(n)})
	s.Rouge.Merge(RougeStats{o.Rouge.Mean.times(n)})
	s.Sacre.Merge(o.Sacre.times(n))
	s.Cider.Merge(CiderStats{o.Cider.D.times(n), o.Cider.Plain.times(n)})
	s.Meteor.Merge(o.Meteor.Times(n))
	s.Spice.Merge(o.Spice.times(n))
}

// Pictures are what each picture adds to a set, but for CIDEr, which depends on
// all pictures of the set, and SPICE; see AddCider and AddSpice.
func (o Options) Pictures(items []Item, tokens []Tokens) []Statistics {
	s := scoring{items: items, opts: o, tokens: tokens, images: make([]Statistics, len(items))}
	s.each(func(i int, c *counter, _ *statistics) { s.images[i] = o.count(c, items[i], tokens[i]) })
	return s.images
}

// AddCider adds a picture's CIDEr.
func (s *Statistics) AddCider(scores CiderScores) {
	s.Metrics |= CIDER
	s.Cider.Add(scores)
}

// AddSpice adds a picture's SPICE.
func (s *Statistics) AddSpice(score float64) {
	s.Metrics |= SPICE
	s.Spice.Add(score)
}

// Scores are those of the set. A metric that no picture has is missing.
func (s *Statistics) Scores() Scores {
	var out Scores
	if s.Metrics&BLEU != 0 {
		out.setBleu(s.Bleu)
	}
	if s.Metrics&ROUGE != 0 {
		out.RougeL = known(s.Rouge.Score())
	}
	if s.Metrics&METEOR != 0 {
		out.METEOR = known(s.Meteor.Score())
	}
	if s.Metrics&CIDER != 0 {
		out.setCider(s.Cider.Score())
	}
	if s.Metrics&SPICE != 0 {
		out.SPICE = known(s.Spice.Value())
	}
	return out
}

// SacreBleu is sacrebleu's score of the set, nil where it is missing.
func (s *Statistics) SacreBleu() *SacreBleu {
	if s.Metrics&SACREBLEU == 0 {
		return nil
	}
	score := s.Sacre.Score()
	return &score
}

// times counts everything n times.
func (m Matches) times(n int64) Matches {
	for k := range maxOrder {
		m.Correct[k] *= n
		m.Total[k] *= n
	}
	m.PredictionLength *= n
	m.ReferenceLength *= n
	return m
}

func (s SacreBleuStats) times(n int64) SacreBleuStats {
	s.Matches = s.Matches.times(n)
	s.Images *= n
	return s
}
