package metrics

import (
	"maps"
	"slices"
	"strings"
)

// Diversity says how a system's captions vary, and how long they are. Words are
// tokens of package ptb.
type Diversity struct {
	Captions int64 `json:"captions"`
	// MeanWords, Shortest and Longest are their lengths in words;
	// MeanReferenceWords is that of the references.
	MeanWords          float64 `json:"mean_words"`
	Shortest           int64   `json:"shortest"`
	Longest            int64   `json:"longest"`
	MeanReferenceWords float64 `json:"mean_reference_words"`
	// Empty captions have no word.
	Empty int64 `json:"empty"`
	// Distinct is how many of the captions differ from one another.
	Distinct int64 `json:"distinct"`
	// Vocabulary is how many different words they use.
	Vocabulary int64 `json:"vocabulary"`
	// Distinct1 and Distinct2 are different words over all words, and different
	// pairs of neighbouring words over all pairs (Li et al., A Diversity-Promoting
	// Objective Function for Neural Conversation Models, 2016).
	Distinct1 float64 `json:"distinct_1"`
	Distinct2 float64 `json:"distinct_2"`
	// Repetitive captions say three words in a row twice ("a hat on top of a hat on
	// top of a hat").
	Repetitive int64 `json:"repetitive"`
	// SameAsReference captions are one of the picture's references, word for word.
	SameAsReference int64 `json:"same_as_reference"`
}

// Variety adds up what Diversity tells. The zero value is an empty set.
type Variety struct {
	Captions, Words, Pairs          int64
	Shortest, Longest               int64
	References, ReferenceWords      int64
	Empty, Repetitive, SameAsOthers int64
	// Texts, Unigrams and Bigrams are those that occur, by their hashes: among n of
	// them two have the same with a probability of n²/2⁶⁵.
	Texts, Unigrams, Bigrams Hashes
}

// Hashes are a set of them.
type Hashes map[uint64]struct{}

func (h *Hashes) add(text string) {
	if *h == nil {
		*h = Hashes{}
	}
	(*h)[hashOf(text)] = struct{}{}
}

func (h *Hashes) merge(o Hashes) {
	if *h == nil {
		*h = maps.Clone(o)
		return
	}
	maps.Copy(*h, o)
}

// Add adds a picture.
func (v *Variety) Add(t Tokens) {
	words := strings.Fields(t.Prediction)
	n := int64(len(words))
	one := Variety{Captions: 1, Words: n, Pairs: max(0, n-1), Shortest: n, Longest: n, References: int64(len(t.References))}
	for _, r := range t.References {
		one.ReferenceWords += int64(len(strings.Fields(r)))
	}
	one.Empty = count(n == 0)
	one.Repetitive = count(repeats(words, 3))
	one.SameAsOthers = count(n > 0 && slices.Contains(t.References, t.Prediction))
	v.Merge(one)
	v.Texts.add(t.Prediction)
	for i, w := range words {
		v.Unigrams.add(w)
		if i > 0 {
			v.Bigrams.add(words[i-1] + " " + w)
		}
	}
}

func count(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// repeats reports whether n words in a row stand there twice.
func repeats(words []string, n int) bool {
	seen := map[string]bool{}
	for i := 0; i+n <= len(words); i++ {
		gram := strings.Join(words[i:i+n], " ")
		if seen[gram] {
			return true
		}
		seen[gram] = true
	}
	return false
}

// Merge adds the pictures of another set.
func (v *Variety) Merge(o Variety) {
	if o.Captions == 0 {
		return
	}
	if v.Captions == 0 {
		v.Shortest = o.Shortest
	}
	v.Shortest, v.Longest = min(v.Shortest, o.Shortest), max(v.Longest, o.Longest)
	v.Captions += o.Captions
	v.Words += o.Words
	v.Pairs += o.Pairs
	v.References += o.References
	v.ReferenceWords += o.ReferenceWords
	v.Empty += o.Empty
	v.Repetitive += o.Repetitive
	v.SameAsOthers += o.SameAsOthers
	v.Texts.merge(o.Texts)
	v.Unigrams.merge(o.Unigrams)
	v.Bigrams.merge(o.Bigrams)
}

// Diversity is that of the set.
func (v *Variety) Diversity() Diversity {
	ratio := func(a, b int64) float64 { return float64(a) / float64(max(1, b)) }
	return Diversity{
		Captions: v.Captions, MeanWords: ratio(v.Words, v.Captions), Shortest: v.Shortest, Longest: v.Longest,
		MeanReferenceWords: ratio(v.ReferenceWords, v.References), Empty: v.Empty, Distinct: int64(len(v.Texts)),
		Vocabulary: int64(len(v.Unigrams)), Distinct1: ratio(int64(len(v.Unigrams)), v.Words), Distinct2: ratio(int64(len(v.Bigrams)), v.Pairs),
		Repetitive: v.Repetitive, SameAsReference: v.SameAsOthers,
	}
}
