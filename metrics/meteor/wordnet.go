package meteor

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// synonyms says which senses a word has, by WordNet. Two words that share one
// are synonyms.
type synonyms struct {
	senses map[string][]uint32 // by word
	bases  map[string][]string // base forms of irregular forms
}

// parseSynonyms reads the tables synonym/english.synsets (a word and the line
// after it its senses) and synonym/english.exceptions (a word and the line
// after it its irregular forms).
func parseSynonyms(synsets, exceptions string) (synonyms, error) {
	s := synonyms{senses: make(map[string][]uint32, len(synsets)/50), bases: make(map[string][]string, len(exceptions)/10)}
	all := make([]uint32, 0, len(synsets)/10)
	for line, pair := range pairs(synsets) {
		word, numbers := pair[0], pair[1]
		if strings.Contains(word, "_") { // several words, which no token is
			continue
		}
		from := len(all)
		for number := range strings.FieldsSeq(numbers) {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return synonyms{}, fmt.Errorf("%s, line %d: %w", synsetName, line+1, err)
			}
			all = append(all, uint32(n))
		}
		s.senses[word] = all[from:len(all):len(all)]
	}
	for _, pair := range pairs(exceptions) {
		for form := range strings.FieldsSeq(pair[1]) {
			s.bases[form] = append(s.bases[form], pair[0])
		}
	}
	return s, nil
}

// pairs gives every odd line's number, the line, and the one after it.
func pairs(text string) iter.Seq2[int, [2]string] {
	return func(yield func(int, [2]string) bool) {
		for line := 1; text != ""; line += 2 {
			var pair [2]string
			for k := range pair {
				pair[k], text, _ = strings.Cut(text, "\n")
			}
			if !yield(line, pair) {
				return
			}
		}
	}
}

// ending is a rule of WordNet's morphology: how a regular form's base ends.
type ending struct {
	of    string
	bases []string // in the order in which they are tried
}

// endings are the rules for nouns, verbs and adjectives; see morphy(7) in
// WordNet's manual. The reference does not ask which part of speech a word is.
var endings = []ending{
	{"s", []string{""}},
	{"ses", []string{"s"}},
	{"xes", []string{"x"}},
	{"zes", []string{"z"}},
	{"ches", []string{"ch"}},
	{"shes", []string{"sh"}},
	{"men", []string{"man"}},
	{"ies", []string{"y"}},
	{"es", []string{"e", ""}},
	{"ed", []string{"e", ""}},
	{"ing", []string{"e", ""}},
	{"er", []string{"", "e"}},
	{"est", []string{"", "e"}},
}

// of returns the senses of a word and of its base forms, without order.
func (s synonyms) of(word string) []uint32 {
	own := s.senses[word]
	bases, irregular := s.bases[word]
	if !irregular {
		if base := s.base(word); base != "" {
			bases = []string{base}
		}
	}
	if len(bases) == 0 {
		return own
	}
	senses := own[:len(own):len(own)]
	for _, base := range bases {
		senses = append(senses, s.senses[base]...)
	}
	return senses
}

// base returns the base form of a regular form, or "". The first rule that
// leads to a word wins.
func (s synonyms) base(word string) string {
	if len(word) <= 2 || strings.HasSuffix(word, "ss") {
		return ""
	}
	for _, e := range endings {
		stem, ok := strings.CutSuffix(word, e.of)
		if !ok {
			continue
		}
		for _, end := range e.bases {
			if base := stem + end; len(s.senses[base]) > 0 {
				return base
			}
		}
	}
	return ""
}
