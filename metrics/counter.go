package metrics

import (
	"strings"
	"sync"

	"github.com/blipflow/blipflow/metrics/internal/pytext"
)

// gram is an n-gram of a caption and how often it stands there.
type gram struct {
	id    uint32 // within the counter
	count int32
}

// caption is a caption's words and n-grams.
type caption struct {
	words int
	grams []gram            // by order, then by first appearance
	from  [maxOrder + 1]int // grams[from[k]:from[k+1]] are those of k+1 words
}

// order returns the n-grams of k+1 words.
func (c *caption) order(k int) []gram { return c.grams[c.from[k]:c.from[k+1]] }

// counter counts the n-grams of one picture after another and numbers those of
// each picture.
type counter struct {
	lexicon *lexicon          // shared with other counters
	known   map[string]uint32 // the part of the lexicon that this counter met
	table   ngramTable
	ngrams  []ngram // by id
	place   []int32 // by id: one more than its index among the grams of the caption being counted
	words   []uint32

	prediction caption
	references []caption

	best    []int32   // by id: see matches
	weights []float64 // by id: see cider
	vector  []float64 // by id: see cider
}

func newCounter(l *lexicon) *counter { return &counter{lexicon: l, known: map[string]uint32{}} }

// counters keeps counters with a lexicon each for single pictures.
var counters = sync.Pool{New: func() any { return newCounter(new(lexicon)) }}

// manyWords is when a counter of the pool gets a new lexicon, so that it doesn't
// grow for ever.
const manyWords = 1 << 16

// withCounter hands do a counter loaded with a picture.
func withCounter(prediction string, references []string, do func(*counter)) {
	c := counters.Get().(*counter)
	defer counters.Put(c)
	if len(c.known) > manyWords {
		c.lexicon, c.known = new(lexicon), map[string]uint32{}
	}
	c.load(prediction, references)
	do(c)
}

// load counts a prediction and its references, both tokens with spaces between.
func (c *counter) load(prediction string, references []string) {
	c.table.clear()
	c.ngrams = c.ngrams[:0]
	c.place = c.place[:0]
	c.count(&c.prediction, prediction)
	if n := len(references); n > cap(c.references) { // keeps the memory of the captions there
		c.references = append(c.references[:cap(c.references)], make([]caption, n-cap(c.references))...)
	}
	c.references = c.references[:len(references)]
	for i, r := range references {
		c.count(&c.references[i], r)
	}
}

// count fills in a caption.
func (c *counter) count(dst *caption, text string) {
	c.split(pytext.Squeeze(text))
	dst.words = len(c.words)
	dst.grams = dst.grams[:0]
	for k := range maxOrder {
		dst.from[k] = len(dst.grams)
		for i := 0; i+k < len(c.words); i++ {
			var key ngram
			copy(key[:], c.words[i:i+k+1])
			c.tally(dst, key)
		}
	}
	dst.from[maxOrder] = len(dst.grams)
	for _, g := range dst.grams {
		c.place[g.id] = 0
	}
}

// tally counts one n-gram.
func (c *counter) tally(dst *caption, key ngram) {
	id, isNew := c.table.id(key)
	if isNew {
		c.ngrams = append(c.ngrams, key)
		c.place = append(c.place, 0)
	}
	if at := c.place[id]; at > 0 {
		dst.grams[at-1].count++
		return
	}
	dst.grams = append(dst.grams, gram{id, 1})
	c.place[id] = int32(len(dst.grams))
}

// split numbers the words of a text with single spaces.
func (c *counter) split(text string) {
	c.words = c.words[:0]
	for text != "" {
		var word string
		word, text, _ = strings.Cut(text, " ")
		id, ok := c.known[word]
		if !ok {
			id = c.lexicon.id(word)
			c.known[strings.Clone(word)] = id
		}
		c.words = append(c.words, id)
	}
}

// resize returns a slice of n elements in the memory of *s where that is large
// enough. What stands in it is left over from before.
func resize[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n, 2*n)
	}
	*s = (*s)[:n]
	return *s
}
