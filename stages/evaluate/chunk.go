package evaluate

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/metrics"
)

func init() {
	beam.RegisterType(reflect.TypeFor[placed]())
	register.DoFn2x0[joined, func(string, placed)](&toChunks{})
	register.Emitter2[string, placed]()
	register.Iter1[placed]()
}

// perChunk is how many pictures, neighbours in their source, are scored together: as
// many as COCO's test split has, since one picture in a thousand has another SPICE
// where it is scored among others; see package spice.
const perChunk = 5000

// lookAhead is how many pictures of the next chunk the tokeniser can look at. It
// needs one, and more where captions are blank.
const lookAhead = 4

// placed is a picture in a chunk.
type placed struct {
	N          int
	Ahead      bool // of the next chunk
	ID, Domain string
	References []string
	Prediction string
	Prompt     string
	Baseline   string
}

// toChunks hands each picture that can be scored to its chunk, and the first ones
// of a chunk to the one before it as well.
type toChunks struct {
	Baseline bool
}

// ProcessElement looks at one picture.
func (fn *toChunks) ProcessElement(j joined, emit func(string, placed)) {
	if !j.matches(fn.Baseline) {
		return
	}
	p := placed{N: j.Place.N, ID: j.ID, Domain: j.Domain, References: j.References, Prediction: j.Predictions[0], Prompt: j.Prompt}
	if fn.Baseline {
		p.Baseline = j.Baseline[0]
	}
	chunk := j.Place.N / perChunk
	emit(chunkName(j.Place.File, chunk), p)
	if chunk > 0 && j.Place.N%perChunk < lookAhead {
		p.Ahead = true
		emit(chunkName(j.Place.File, chunk-1), p)
	}
}

// chunkName orders chunks as their source does.
func chunkName(file string, n int) string { return fmt.Sprintf("%s %09d", file, n) }

// chunk is neighbouring pictures in their order, and those that follow.
type chunk struct {
	pictures, ahead []placed
}

func readChunk(next func(*placed) bool) chunk {
	var c chunk
	for p := (placed{}); next(&p); p = (placed{}) {
		if p.Ahead {
			c.ahead = append(c.ahead, p)
		} else {
			c.pictures = append(c.pictures, p)
		}
	}
	for _, list := range [][]placed{c.pictures, c.ahead} {
		slices.SortFunc(list, func(a, b placed) int { return a.N - b.N })
	}
	return c
}

// system says whose predictions are looked at.
type system bool

const (
	candidate system = false
	baseline  system = true
)

// items are a system's, as package metrics has them.
func (c chunk) items(of system) (items, ahead []metrics.Item) {
	convert := func(list []placed) (out []metrics.Item) {
		for _, p := range list {
			it := metrics.Item{ImageID: p.ID, Prediction: p.Prediction, References: p.References}
			if of == baseline {
				it.Prediction = p.Baseline
			}
			out = append(out, it)
		}
		return out
	}
	return convert(c.pictures), convert(c.ahead)
}
