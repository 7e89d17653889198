package demo

import "fmt"

// Accuracy is how many captions of pictures state the truth about them.
type Accuracy struct {
	// Captions is the number of captions scored.
	Captions int `json:"captions"`
	// Shape, Colour and Count are the numbers of captions with that fact right.
	Shape  int `json:"shape"`
	Colour int `json:"colour"`
	Count  int `json:"count"`
	// Exact is the number of captions with all three right.
	Exact int `json:"exact"`
}

// Score compares captions with the truths about their pictures, pair by pair.
// A fact is right if the caption states it, once and without contradiction;
// [Parse] has the rules. It is an error if the lengths differ.
func Score(captions []string, truths []Facts) (Accuracy, error) {
	if len(captions) != len(truths) {
		return Accuracy{}, fmt.Errorf("score demo captions: %d captions for %d pictures", len(captions), len(truths))
	}
	a := Accuracy{Captions: len(captions)}
	for i, truth := range truths {
		// What was read before a caption falls short still counts: without a
		// count, shape and colour may be right. A contradiction leaves nothing.
		said, _ := Parse(captions[i])
		shape, colour, count := said.Shape == truth.Shape, said.Colour == truth.Colour, said.Count == truth.Count
		a.Shape += one(shape)
		a.Colour += one(colour)
		a.Count += one(count)
		a.Exact += one(shape && colour && count)
	}
	return a, nil
}

// Share returns the exact ones' share of all captions, 0 to 1; 0 for none.
func (a Accuracy) Share() float64 {
	if a.Captions == 0 {
		return 0
	}
	return float64(a.Exact) / float64(a.Captions)
}

// String says it in one line: "exact 96.0 % (shape 98.0 %, colour 100.0 %, count 97.5 %) of 200 captions".
func (a Accuracy) String() string {
	percent := func(n int) float64 { return 100 * float64(n) / float64(max(1, a.Captions)) }
	return fmt.Sprintf("exact %.1f %% (shape %.1f %%, colour %.1f %%, count %.1f %%) of %d captions",
		percent(a.Exact), percent(a.Shape), percent(a.Colour), percent(a.Count), a.Captions)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
