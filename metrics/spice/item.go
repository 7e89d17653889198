package spice

import (
	"errors"

	"github.com/blipflow/blipflow/metrics"
)

// Errors of a single picture, in Scores.Err.
var (
	// ErrTimeout says that a picture took longer than it may; see
	// Config.Patience.
	ErrTimeout = errors.New("took too long")
	// ErrFailed says that Java failed on a picture, each time.
	ErrFailed = errors.New("failed")
)

// Item is one picture's captions, as package ptb tokenises them; see
// metrics.Options.Tokenize.
type Item struct {
	ID         string // handed back with the scores
	Prediction string
	References []string // at least one
}

// Scores are one picture's.
type Scores struct {
	ID string `json:"image_id"`

	All         Tuples `json:"All"` // All.F is what is called SPICE
	Object      Tuples `json:"Object"`
	Attribute   Tuples `json:"Attribute"`
	Relation    Tuples `json:"Relation"`
	Cardinality Tuples `json:"Cardinality"`
	Color       Tuples `json:"Color"`
	Size        Tuples `json:"Size"`

	// Cut is how many of its captions were cut to Config.MaxWords.
	Cut int `json:"cut,omitempty"`
	// Err says why the picture has no scores: ErrTimeout or ErrFailed, wrapped.
	Err error `json:"-"`
}

// Tuples are the scores over the tuples of one category. In JSON they have the
// names that the jar gives them.
type Tuples struct {
	// F, Precision and Recall are missing where the references have no such
	// tuple, but for All, where they are 0 then.
	F         metrics.Value `json:"f"`
	Precision metrics.Value `json:"pr"`
	Recall    metrics.Value `json:"re"`

	TruePositives  int `json:"tp"` // of the prediction's tuples, those that match
	FalsePositives int `json:"fp"` // those that don't
	FalseNegatives int `json:"fn"` // the references' tuples less TruePositives
}

// Stats add up the scores of pictures. They merge, and survive JSON, with the
// same digits in any order.
type Stats struct {
	All, Object, Attribute, Relation, Cardinality, Color, Size metrics.Mean

	Failed int64 // pictures without scores, which no mean has
	Cut    int64 // pictures with a caption that was cut
}

// Add adds a picture.
func (s *Stats) Add(p Scores) {
	if p.Err != nil {
		s.Failed++
		return
	}
	if p.Cut > 0 {
		s.Cut++
	}
	for i, m := range s.means() {
		if f := p.tuples()[i].F; f.Known {
			m.Add(f.Score)
		}
	}
}

// Merge adds the pictures of another set.
func (s *Stats) Merge(o Stats) {
	from := o.means()
	for i, m := range s.means() {
		m.Merge(*from[i])
	}
	s.Failed += o.Failed
	s.Cut += o.Cut
}

// Score is SPICE of the set, missing where no picture has a score.
func (s *Stats) Score() metrics.Value {
	return metrics.Value{Score: s.All.Value(), Known: s.All.Count > 0}
}

// categories are the names that the jar gives what tuples and means return, in
// their order.
var categories = [...]string{"All", "Object", "Attribute", "Relation", "Cardinality", "Color", "Size"}

func (p *Scores) tuples() [len(categories)]*Tuples {
	return [...]*Tuples{&p.All, &p.Object, &p.Attribute, &p.Relation, &p.Cardinality, &p.Color, &p.Size}
}

func (s *Stats) means() [len(categories)]*metrics.Mean {
	return [...]*metrics.Mean{&s.All, &s.Object, &s.Attribute, &s.Relation, &s.Cardinality, &s.Color, &s.Size}
}
