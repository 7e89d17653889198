package evaluate

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/spice"
)

func init() {
	beam.RegisterType(reflect.TypeFor[sample]())
	register.Combiner2[sample, joined](&sampleFn{})
	register.Iter1[sample]()
}

// sample are the pictures that SPICE is computed for: those with the smallest
// numbers, which a seed and their ids give.
type sample struct {
	Numbers []uint64
}

// sampleFn draws a sample of the pictures that are scored.
type sampleFn struct {
	Baseline bool
	Spice    Spice
}

// AddInput looks at one picture.
func (fn *sampleFn) AddInput(s sample, j joined) sample {
	if fn.Spice.Sample == 0 || !j.matches(fn.Baseline) {
		return s
	}
	s.Numbers = append(s.Numbers, fn.Spice.number(j.ID))
	if len(s.Numbers) > 2*fn.Spice.Sample {
		s.cut(fn.Spice.Sample)
	}
	return s
}

// MergeAccumulators joins two.
func (fn *sampleFn) MergeAccumulators(a, b sample) sample {
	a.Numbers = append(a.Numbers, b.Numbers...)
	a.cut(fn.Spice.Sample)
	return a
}

// ExtractOutput leaves as many as are wanted.
func (fn *sampleFn) ExtractOutput(s sample) sample {
	s.cut(fn.Spice.Sample)
	return s
}

func (s *sample) cut(n int) {
	slices.Sort(s.Numbers)
	s.Numbers = s.Numbers[:min(n, len(s.Numbers))]
}

// number is a picture's.
func (c Spice) number(id string) uint64 { return metrics.Random(c.Seed, id).Uint64() }

// of picks the items that are in the sample, with their tokens, as SPICE takes them.
func (s sample) of(items []metrics.Item, tokens []metrics.Tokens, c Spice) (out []spice.Item) {
	for i, it := range items {
		if c.Sample > 0 {
			if _, in := slices.BinarySearch(s.Numbers, c.number(it.ImageID)); !in {
				continue
			}
		}
		out = append(out, spice.Item{ID: it.ImageID, Prediction: tokens[i].Prediction, References: tokens[i].References})
	}
	slices.SortStableFunc(out, func(a, b spice.Item) int { return byNumber(a.ID, b.ID) })
	return out
}

// byNumber orders ids as pycocoevalcap's spice.py orders pictures: numbers by their
// values, and names after them.
func byNumber(a, b string) int {
	m, errA := strconv.ParseInt(a, 10, 64)
	n, errB := strconv.ParseInt(b, 10, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Compare(m, n)
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// Spice says how SPICE is computed. The zero value leaves it out.
type Spice struct {
	// Scorer runs it; nil for nothing.
	Scorer *spice.Scorer
	// Sample is how many pictures it is computed for, drawn by Seed; 0 for all.
	Sample int
	Seed   int64
}

// FindSpice finds Java and SPICE's jars, or says what to install. Parses are kept in
// the folder cache, where it is not empty.
func FindSpice(ctx context.Context, cache string) (Spice, error) {
	s, err := spice.Find(ctx, spice.Config{Cache: cache})
	if err != nil {
		return Spice{}, err
	}
	return Spice{Scorer: &s}, nil
}

// oneJava lets one chunk of a process run Java at a time: it takes all cores by
// itself, and some gigabytes.
var oneJava sync.Mutex

// score gives the pictures' SPICE by their ids, and what is to be said of it. Where
// Java fails altogether, no picture has one.
func (c Spice) score(ctx context.Context, items []metrics.Item, tokens []metrics.Tokens, s sample) (map[string]float64, notes, error) {
	var said notes
	chosen := s.of(items, tokens, c)
	if c.Scorer == nil || len(chosen) == 0 {
		return nil, said, nil
	}
	oneJava.Lock()
	defer oneJava.Unlock()
	found, err := c.Scorer.Score(ctx, chosen)
	if errors.Is(err, spice.ErrBroken) {
		said.Warnings = append(said.Warnings, "SPICE is missing: "+err.Error())
		return nil, said, nil
	}
	if err != nil {
		return nil, said, err
	}
	out := map[string]float64{}
	for _, p := range found {
		one := offenders{Count: 1, IDs: []string{p.ID}}
		switch {
		case p.Err != nil:
			said.Unscored.add(one)
		default:
			out[p.ID] = p.All.F.Score
		}
		if p.Cut > 0 {
			said.Cut.add(one)
		}
	}
	return out, said, nil
}
