package meteor

import "math"

// METEOR's parameters for English, as the reference prints them: its task
// "rank", tuned on human rankings of translations.
const (
	alpha float64 = 0.85 // precision against recall
	beta  float64 = 0.2  // exponent of the fragmentation
	gamma float64 = 0.6  // weight of the penalty
	delta float64 = 0.75 // content against function words
)

// weights say what a match is worth in the score, by stage.
var weights = [stages]float64{1, 0.6, 0.8, 0.6}

// Counts are numbers of words.
type Counts struct{ Content, Function int64 }

func (c *Counts) merge(o Counts) {
	c.Content += o.Content
	c.Function += o.Function
}

func (c *Counts) add(t *token) {
	if t.function {
		c.Function++
	} else {
		c.Content++
	}
}

// Side counts the words of the predictions or of the references, and those of
// them that a match covers, by stage: exact, stem, synonym, paraphrase.
type Side struct {
	Words   Counts
	Matched [stages]Counts
}

func (s *Side) merge(o Side) {
	s.Words.merge(o.Words)
	for k := range s.Matched {
		s.Matched[k].merge(o.Matched[k])
	}
}

// words returns how many words there are, and how many a match covers.
func (s Side) words() (all, matched int64) {
	for _, m := range s.Matched {
		matched += m.Content + m.Function
	}
	return s.Words.Content + s.Words.Function, matched
}

// share returns how much of the words is covered: precision or recall.
func (s Side) share() float64 {
	var sum float64
	for k, m := range s.Matched {
		sum += float64(float64(m.Content) * weights[k] * delta)
		sum += float64(float64(m.Function) * weights[k] * (1 - delta))
	}
	if sum == 0 {
		return 0
	}
	return sum / (float64(delta*float64(s.Words.Content)) + float64((1-delta)*float64(s.Words.Function)))
}

// Stats are the counts behind METEOR, of one picture or of many. They are
// whole numbers, so a sum of them has the same digits in any order. The zero
// value is an empty set.
type Stats struct {
	Prediction, Reference Side

	// Chunks counts the runs of matches that stand in the same order on both
	// sides. That of a picture whose sides match as a whole, word for word, is
	// left out: it is no fragment.
	Chunks int64
}

// Merge adds the pictures of another set.
func (s *Stats) Merge(o Stats) {
	s.Prediction.merge(o.Prediction)
	s.Reference.merge(o.Reference)
	s.Chunks += o.Chunks
}

// Score returns METEOR, from 0 to 1. For a set of pictures it is computed from
// their counts; it is not the mean of their scores.
func (s Stats) Score() float64 {
	precision, recall := s.Prediction.share(), s.Reference.share()
	if precision == 0 || recall == 0 {
		return 0
	}
	mean := 1 / (float64(alpha/recall) + float64((1-alpha)/precision))
	_, p := s.Prediction.words()
	_, r := s.Reference.words()
	fragmentation := float64(s.Chunks) / (float64(p+r) / 2)
	return mean * (1 - float64(gamma*math.Pow(fragmentation, beta)))
}

// stats counts the words of two sentences that are aligned.
func (a *aligner) stats(t *Tables, prediction, reference *sentence) Stats {
	chosen, chunks := a.align(t, prediction, reference)
	s := Stats{Chunks: int64(chunks)}
	for _, w := range prediction.tokens {
		s.Prediction.Words.add(w)
	}
	for _, w := range reference.tokens {
		s.Reference.Words.add(w)
	}
	for _, c := range chosen {
		m := a.all[c]
		for _, w := range prediction.tokens[m.prediction.at:][:m.prediction.words] {
			s.Prediction.Matched[m.stage].add(w)
		}
		for _, w := range reference.tokens[m.reference.at:][:m.reference.words] {
			s.Reference.Matched[m.stage].add(w)
		}
	}
	if s.whole() {
		s.Chunks = 0
	}
	return s
}

// whole reports whether one chunk covers all words of both sides.
func (s Stats) whole() bool {
	p, pMatched := s.Prediction.words()
	r, rMatched := s.Reference.words()
	return s.Chunks == 1 && p == pMatched && r == rMatched
}
