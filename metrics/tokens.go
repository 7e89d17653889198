package metrics

import "github.com/blipflow/blipflow/metrics/ptb"

// Tokens are a picture's captions as package ptb tokenises them: tokens with
// spaces between.
type Tokens struct {
	Prediction string
	References []string
}

// Tokenize tokenises pictures in their order. The items that follow them are
// looked at but not tokenised: see Options.EachAlone.
func (o Options) Tokenize(items, follow []Item) []Tokens {
	tokenize := tokenizer(items, follow, o)
	out := make([]Tokens, len(items))
	for i := range items {
		out[i] = tokenize(i)
	}
	return out
}

// neighbours are the captions that the reference reads after an item's.
type neighbours struct{ prediction, reference string }

// tokenizer gives what tokenises the i-th item, on any goroutine.
func tokenizer(items, follow []Item, o Options) func(i int) Tokens {
	if o.EachAlone {
		return func(i int) Tokens { return alone(items[i]) }
	}
	next := following(items, follow)
	return func(i int) Tokens { return followed(items[i], next[i]) }
}

// following finds what comes after each item's prediction and after its last
// reference, as package ptb wants it.
func following(items, follow []Item) []neighbours {
	out := make([]neighbours, len(items))
	var next neighbours
	for i := len(items) + len(follow) - 1; i >= 0; i-- {
		var it Item
		if i < len(items) {
			out[i], it = next, items[i]
		} else {
			it = follow[i-len(items)]
		}
		next.prediction = ptb.Before(it.Prediction, next.prediction)
		for j := len(it.References) - 1; j >= 0; j-- {
			next.reference = ptb.Before(it.References[j], next.reference)
		}
	}
	return out
}

func alone(it Item) Tokens {
	t := Tokens{Prediction: ptb.Tokenize(it.Prediction), References: make([]string, len(it.References))}
	for j, r := range it.References {
		t.References[j] = ptb.Tokenize(r)
	}
	return t
}

// followed tokenises an item that the neighbours follow.
func followed(it Item, next neighbours) Tokens {
	t := Tokens{Prediction: ptb.TokenizeBefore(it.Prediction, next.prediction), References: make([]string, len(it.References))}
	for j := len(it.References) - 1; j >= 0; j-- {
		r := it.References[j]
		t.References[j] = ptb.TokenizeBefore(r, next.reference)
		next.reference = ptb.Before(r, next.reference)
	}
	return t
}
