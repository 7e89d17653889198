package spice_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/internal/golden"
	"github.com/blipflow/blipflow/metrics/spice"
)

// set is a golden set: pictures and what the jar says of them.
type set struct {
	Name   string
	Items  []item
	Scores [][][]*float64 // by picture and category: f, precision, recall, tp, fp, fn
	Mean   float64
}

// item is [prediction, references] in JSON.
type item struct {
	prediction string
	references []string
}

func (it *item) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&it.prediction, &it.references})
}

func load(tb testing.TB) []set {
	path := os.Getenv("BLIPFLOW_SPICE_FILE")
	if path == "" {
		path = "../../testdata/golden/spice/scores.json.gz"
	}
	var sets []set
	golden.LoadFile(tb, path, &sets)
	return sets
}

func items(sets []set) []spice.Item {
	var out []spice.Item
	for _, s := range sets {
		for i, it := range s.Items {
			out = append(out, spice.Item{ID: fmt.Sprint(s.Name, ", picture ", i), Prediction: it.prediction, References: it.references})
		}
	}
	return out
}

// find is the real SPICE, where it is.
func find(tb testing.TB, c spice.Config) spice.Scorer {
	tb.Helper()
	s, err := spice.Find(tb.Context(), c)
	if errors.Is(err, spice.ErrNoJava) || errors.Is(err, spice.ErrNoJars) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestAsTheJar runs the jar, in two processes and with a cache, and expects what
// it gave in one without, to the last bit. The golden pictures have no word with
// two synonyms; see the package comment.
func TestAsTheJar(t *testing.T) {
	if testing.Short() {
		t.Skip("the jar takes half a minute")
	}
	sets := load(t)
	all := items(sets)
	s := find(t, spice.Config{Cache: t.TempDir(), Chunk: (len(all) + 1) / 2})
	scores, err := s.Score(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	check(t, sets, scores)
	again, err := s.Score(t.Context(), all) // of parses that the first kept
	if err != nil {
		t.Fatal(err)
	}
	check(t, sets, again)
}

func check(t *testing.T, sets []set, scores []spice.Scores) {
	t.Helper()
	for _, set := range sets {
		var sum spice.Stats
		for i := range set.Items {
			one := scores[0]
			scores = scores[1:]
			if want := fmt.Sprint(set.Name, ", picture ", i); one.ID != want || one.Err != nil || one.Cut != 0 {
				t.Errorf("%s: %+v", want, one)
			}
			for k, got := range []spice.Tuples{one.All, one.Object, one.Attribute, one.Relation, one.Cardinality, one.Color, one.Size} {
				if want := tuples(set.Scores[i][k]); got != want {
					t.Errorf("%s: category %d is %+v, want %+v", one.ID, k, got, want)
				}
			}
			sum.Add(one)
		}
		// numpy adds floats where Stats adds fixed-point numbers.
		if got := sum.Score(); math.Abs(got.Score-set.Mean) > 1e-12 {
			t.Errorf("%s: the mean is %v, want %v", set.Name, got, set.Mean)
		}
	}
}

func tuples(n []*float64) spice.Tuples {
	value := func(x *float64) metrics.Value {
		if x == nil {
			return metrics.Value{}
		}
		return metrics.Value{Score: *x, Known: true}
	}
	return spice.Tuples{
		F: value(n[0]), Precision: value(n[1]), Recall: value(n[2]),
		TruePositives: int(*n[3]), FalsePositives: int(*n[4]), FalseNegatives: int(*n[5]),
	}
}

// BenchmarkScore scores the golden pictures, or those of BLIPFLOW_SPICE_FILE;
// testdata/spice.py --bench makes such a file and times the jar by itself.
func BenchmarkScore(b *testing.B) {
	all := items(load(b))
	b.Run("cold", func(b *testing.B) { benchmark(b, find(b, spice.Config{}), all) })
	b.Run("warm cache", func(b *testing.B) {
		s := find(b, spice.Config{Cache: b.TempDir()})
		if _, err := s.Score(b.Context(), all); err != nil {
			b.Fatal(err)
		}
		benchmark(b, s, all)
	})
}

func benchmark(b *testing.B, s spice.Scorer, all []spice.Item) {
	for b.Loop() {
		if _, err := s.Score(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*len(all))*1000, "ms/picture")
}

func ExampleScorer_Score() {
	ctx := context.Background()
	scorer, err := spice.Find(ctx, spice.Config{})
	if err != nil {
		fmt.Println(err) // what to install
		return
	}
	scores, err := scorer.Score(ctx, []spice.Item{
		{ID: "1", Prediction: "a brown dog runs", References: []string{"a dog runs along the beach", "a brown dog"}},
		{ID: "2", Prediction: "two cats", References: []string{"two cats sleep on a sofa"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var set spice.Stats
	for _, s := range scores {
		fmt.Println(s.ID, s.All.F, "objects", s.Object.F, s.Err)
		set.Add(s)
	}
	fmt.Println("SPICE", set.Score())
}
