package metrics

import (
	"math/bits"
	"strings"
	"sync"
)

// maxOrder is the longest n-gram of BLEU and CIDEr.
const maxOrder = 4

// ngram is one to four words, by their numbers in a lexicon; 0 is no word.
type ngram [maxOrder]uint32

// lexicon numbers words from 1, for many goroutines.
type lexicon struct {
	mu    sync.Mutex
	ids   map[string]uint32
	words []string // words[id-1]
}

func (l *lexicon) id(word string) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.ids[word]
	if !ok {
		if l.ids == nil {
			l.ids = map[string]uint32{}
		}
		word = strings.Clone(word) // not a piece of a caption, which would stay in memory for it
		l.words = append(l.words, word)
		id = uint32(len(l.words))
		l.ids[word] = id
	}
	return id
}

// text spells an n-gram with single spaces.
func (l *lexicon) text(g ngram) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.words[g[0]-1]
	for _, id := range g[1:] {
		if id > 0 {
			text += " " + l.words[id-1]
		}
	}
	return text
}

// ngramTable numbers n-grams from 0 as they come. It is a hash table with linear
// probing: most of the time of scoring goes into it, and it is three times as
// fast as a map here because it does with one look at memory.
type ngramTable struct {
	slots []ngramSlot // a power of two of them
	count int
}

type ngramSlot struct {
	key ngram // the zero n-gram: empty
	id  uint32
}

// id returns an n-gram's number.
func (t *ngramTable) id(key ngram) (id uint32, isNew bool) {
	if 2*t.count >= len(t.slots) {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	for i := key.hash() & mask; ; i = (i + 1) & mask {
		switch s := &t.slots[i]; s.key {
		case key:
			return s.id, false
		case ngram{}:
			s.key, s.id = key, uint32(t.count)
			t.count++
			return s.id, true
		}
	}
}

func (t *ngramTable) grow() {
	old := t.slots
	t.slots = make([]ngramSlot, max(256, 4*len(old)))
	mask := uint64(len(t.slots) - 1)
	for _, s := range old {
		if s.key == (ngram{}) {
			continue
		}
		i := s.key.hash() & mask
		for t.slots[i].key != (ngram{}) {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}

// clear empties the table and keeps its memory.
func (t *ngramTable) clear() {
	clear(t.slots)
	t.count = 0
}

// hash mixes the words by a long multiplication (as wyhash does).
func (g ngram) hash() uint64 {
	a := uint64(g[0])<<32 | uint64(g[1])
	b := uint64(g[2])<<32 | uint64(g[3])
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	hi, lo = bits.Mul64(hi^lo^0x8ebc6af09c88c6e3, 0x589965cc75374cc3)
	return hi ^ lo
}
