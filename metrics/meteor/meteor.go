package meteor

import (
	"strings"
	"sync"
)

// scorer is what a goroutine needs to score.
type scorer struct {
	prediction, reference sentence
	aligner               aligner
}

var scorers = sync.Pool{New: func() any { return new(scorer) }}

// separator is what stands between captions when pycocoevalcap hands them to
// the reference.
const separator = "|||"

// Segment scores a picture: it compares the prediction with every reference
// and returns the counts for the best of them, of equals the first. Captions
// are tokens with spaces between, as package ptb makes them. Without references
// there is an empty one.
func (t *Tables) Segment(prediction string, references []string) Stats {
	s := scorers.Get().(*scorer)
	defer scorers.Put(s)
	prediction = strings.ReplaceAll(prediction, separator, "")
	s.prediction.set(t, strings.ReplaceAll(prediction, "  ", " "))
	var best Stats
	score := -1.0
	if len(references) == 0 {
		references = []string{""}
	}
	for _, r := range references {
		for r := range strings.SplitSeq(r, separator) {
			s.reference.set(t, r)
			one := s.aligner.stats(t, &s.prediction, &s.reference)
			if x := one.Score(); x > score {
				best, score = one, x
			}
		}
	}
	return best
}
