package meteor

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
)

// token is what the tables say of a word. The reference tells words and stems
// apart by Java's hash codes alone.
type token struct {
	text     string
	code     int32 // of the word
	stem     int32 // code of its stem
	senses   []uint32
	sense    uint64 // a bit for each of senses, chosen by its number
	function bool
}

func (t *token) is(o *token) bool       { return t.code == o.code }
func (t *token) sameStem(o *token) bool { return t.stem == o.stem }

// javaHash returns a text's hash code in Java.
func javaHash(text string) int32 {
	var h int32
	for _, r := range text {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			h = 31*h + high
			r = low
		}
		h = 31*h + r
	}
	return h
}

// synonym reports whether two words share a sense.
func (t *token) synonym(o *token) bool {
	if t.sense&o.sense == 0 {
		return false
	}
	return slices.ContainsFunc(t.senses, func(s uint32) bool { return slices.Contains(o.senses, s) })
}

// maxLexicon bounds the words that are kept. Captions have some ten thousand.
const maxLexicon = 1 << 18

// lexicon keeps the tokens of words seen before.
type lexicon struct {
	mu     sync.RWMutex
	tokens map[string]*token
}

func (l *lexicon) get(word string) *token {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.tokens[word]
}

func (l *lexicon) put(t *token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tokens == nil {
		l.tokens = map[string]*token{}
	}
	if len(l.tokens) < maxLexicon {
		l.tokens[t.text] = t
	}
}

// token looks a word up.
func (t *Tables) token(word string) *token {
	if known := t.lexicon.get(word); known != nil {
		return known
	}
	k := &token{
		text:     word,
		code:     javaHash(word),
		stem:     javaHash(stemOf(word)),
		senses:   t.synonyms.of(word),
		function: t.function[word],
	}
	for _, s := range k.senses {
		k.sense |= 1 << (s % 64)
	}
	t.lexicon.put(k)
	return k
}

// stemOf returns a word's stem by Snowball's English rules. The library counts
// the bytes, not the characters, of words too short to have one, and it trims
// spaces, of which some can be words here and one, \v, part of a word.
func stemOf(word string) string {
	if utf8.RuneCountInString(word) <= 2 {
		return word
	}
	return english.Stem(strings.ReplaceAll(word, "\v", "|"), true)
}

// phrase is a run of words that the table of paraphrases has.
type phrase struct {
	at, words int
	id        uint32
}

// sentence is a caption with all that the tables say of it.
type sentence struct {
	tokens  []*token
	phrases []phrase // by place, then by length
	filter  [16]uint64
}

// set takes a caption.
func (s *sentence) set(t *Tables, caption string) {
	s.tokens, s.phrases = s.tokens[:0], s.phrases[:0]
	for _, w := range t.prefixes.words(caption) {
		s.tokens = append(s.tokens, t.token(w))
	}
	s.filter = [16]uint64{}
	for i := range s.tokens {
		h := newHash
		for k, word := range s.tokens[i:min(i+t.paraphrases.longest, len(s.tokens))] {
			if k > 0 {
				h = h.text(" ")
			}
			h = h.text(word.text)
			if id, ok := t.paraphrases.find(h); ok {
				s.phrases = append(s.phrases, phrase{i, k + 1, id})
				s.filter[id/64%16] |= 1 << (id % 64)
			}
		}
	}
}

// mayHave reports whether the phrase could be in the sentence. It saves most
// searches.
func (s *sentence) mayHave(id uint32) bool { return s.filter[id/64%16]>>(id%64)&1 != 0 }

// same reports whether two sentences have the same words.
func (s *sentence) same(o *sentence) bool {
	return slices.EqualFunc(s.tokens, o.tokens, (*token).is)
}
