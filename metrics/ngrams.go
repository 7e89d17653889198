package metrics

import (
	"strings"
	"sync"

	"github.com/blipflow/blipflow/metrics/internal/pytext"
)

// maxOrder is the longest n-gram of BLEU and CIDEr.
const maxOrder = 4

// gram is an n-gram of a caption and how often it stands there.
type gram struct {
	id    int32 // within the counter
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

// counter numbers the n-grams of one picture's captions. An n-gram is a piece
// of the caption it was first seen in, so that nothing is copied, and the piece
// is the same on every machine. A counter is used for one picture after another.
type counter struct {
	ids   map[string]int32
	texts []string // by id
	place []int32  // by id: one more than its index among the grams of the caption being counted
	ends  []int32  // where the words of the caption being counted end

	prediction caption
	references []caption

	best    []int32   // see matches
	weights []float64 // see cider.go
	vector  []float64
}

// counters keeps used counters, whose memory the next picture can take over.
var counters = sync.Pool{New: func() any { return new(counter) }}

// withCounter hands do a counter loaded with a picture.
func withCounter(prediction string, references []string, do func(*counter)) {
	c := counters.Get().(*counter)
	defer counters.Put(c)
	c.load(prediction, references)
	do(c)
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

// load counts a prediction and its references, both tokens with spaces between.
func (c *counter) load(prediction string, references []string) {
	if c.ids == nil {
		c.ids = map[string]int32{}
	}
	clear(c.ids)
	c.texts = c.texts[:0]
	c.place = c.place[:0]
	c.count(&c.prediction, prediction)
	for len(c.references) < len(references) {
		c.references = append(c.references, caption{})
	}
	c.references = c.references[:len(references)]
	for i, r := range references {
		c.count(&c.references[i], r)
	}
}

// count fills in a caption.
func (c *counter) count(dst *caption, text string) {
	text = pytext.Squeeze(text)
	c.split(text)
	dst.words = len(c.ends)
	dst.grams = dst.grams[:0]
	for k := range maxOrder {
		dst.from[k] = len(dst.grams)
		start := int32(0)
		for last := k; last < len(c.ends); last++ {
			c.tally(dst, text[start:c.ends[last]])
			start = c.ends[last-k] + 1
		}
	}
	dst.from[maxOrder] = len(dst.grams)
	for _, g := range dst.grams {
		c.place[g.id] = 0
	}
}

// tally counts one n-gram.
func (c *counter) tally(dst *caption, text string) {
	id, ok := c.ids[text]
	if !ok {
		id = int32(len(c.texts))
		c.ids[text] = id
		c.texts = append(c.texts, text)
		c.place = append(c.place, 0)
	}
	if at := c.place[id]; at > 0 {
		dst.grams[at-1].count++
		return
	}
	dst.grams = append(dst.grams, gram{id, 1})
	c.place[id] = int32(len(dst.grams))
}

// split finds where words end in a text with single spaces.
func (c *counter) split(text string) {
	c.ends = c.ends[:0]
	for at := 0; at < len(text); {
		end := strings.IndexByte(text[at:], ' ')
		if end < 0 {
			end = len(text) - at
		}
		c.ends = append(c.ends, int32(at+end))
		at += end + 1
	}
}
