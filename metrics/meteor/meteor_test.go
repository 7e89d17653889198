package meteor_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/blipflow/blipflow/metrics/internal/golden"
	"github.com/blipflow/blipflow/metrics/meteor"
)

// tolerance is for the last digit, in which Go's and Java's pow may differ.
const tolerance = 1e-15

// load reads a golden file of testdata/meteor.py.
func load(tb testing.TB, name string, v any) {
	tb.Helper()
	golden.LoadFile(tb, filepath.Join("..", "..", "testdata", "golden", "meteor", name+".json.gz"), v)
}

var openOnce = sync.OnceValues(func() (*meteor.Tables, error) {
	folder := os.Getenv("BLIPFLOW_METEOR")
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, meteor.ErrNoTables
		}
		folder = filepath.Join(cache, "blipflow", "pycocoevalcap-1.2", "meteor")
	}
	return meteor.Open(folder)
})

// tables opens the reference's tables, which are not in the repository.
func tables(tb testing.TB) *meteor.Tables {
	tb.Helper()
	t, err := openOnce()
	if errors.Is(err, meteor.ErrNoTables) {
		tb.Skipf("%v (BLIPFLOW_METEOR names the folder)", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestWordsAgainstReference(t *testing.T) {
	tb := tables(t)
	var file [][2]string
	load(t, "words", &file)
	for _, p := range file {
		if got := strings.Join(tb.Words(p[0]), " "); got != p[1] {
			t.Errorf("words of %q\n got %q\nwant %q", p[0], got, p[1])
		}
	}
}

func TestMatchAgainstReference(t *testing.T) {
	tb := tables(t)
	var file [][3]any
	load(t, "pairs", &file)
	for _, p := range file {
		stem, synonym := tb.Match(p[0].(string), p[1].(string))
		ways := int(p[2].(float64))
		if stem != (ways&1 != 0) || synonym != (ways&2 != 0) {
			t.Errorf("%s and %s: by stem %t, by synonym %t, want %d", p[0], p[1], stem, synonym, ways)
		}
	}
}

// segmentSet is a golden set of pictures.
type segmentSet struct {
	Name   string
	Items  []goldenItem
	Counts [][]int64
	Scores []float64
	Score  float64
}

// goldenItem is [prediction, references] in JSON.
type goldenItem struct {
	prediction string
	references []string
}

func (g *goldenItem) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&g.prediction, &g.references})
}

// counts returns statistics as the reference prints them.
func counts(s meteor.Stats) []int64 {
	p, r := s.Prediction, s.Reference
	out := []int64{p.Words.Content + p.Words.Function, r.Words.Content + r.Words.Function, p.Words.Function, r.Words.Function}
	var matched [2]int64
	for k, m := range p.Matched {
		n := r.Matched[k]
		out = append(out, m.Content, n.Content, m.Function, n.Function)
		matched[0] += m.Content + m.Function
		matched[1] += n.Content + n.Function
	}
	return append(out, s.Chunks, matched[0], matched[1])
}

func TestSegmentAgainstReference(t *testing.T) {
	tb := tables(t)
	var sets []segmentSet
	load(t, "segments", &sets)
	if len(sets) < 15 {
		t.Fatalf("only %d sets", len(sets))
	}
	for _, set := range sets {
		t.Run(set.Name, func(t *testing.T) {
			var sum meteor.Stats
			for i, it := range set.Items {
				got, want := tb.Segment(it.prediction, it.references), set.Counts[i]
				if want[20] == 1 && want[0] == want[21] && want[1] == want[22] {
					want[20] = 0 // see Stats.Chunks
				}
				if !reflect.DeepEqual(counts(got), want) {
					t.Errorf("%q against %q\n got %v\nwant %v", it.prediction, it.references, counts(got), want)
				}
				if math.Abs(got.Score()-set.Scores[i]) > tolerance {
					t.Errorf("%q scores %v, want %v", it.prediction, got.Score(), set.Scores[i])
				}
				sum.Merge(got)
			}
			if math.Abs(sum.Score()-set.Score) > tolerance {
				t.Errorf("the set scores %v, want %v", sum.Score(), set.Score)
			}
		})
	}
}

// captions invents pictures of words that the tables know.
func captions(n int, seed uint64) []goldenItem {
	rng := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields(`a a a a the the of on in with and man woman dog cat street sitting sits standing next to
		red white large big small little people person holding plate pizza table train bus two three young riding
		rides wave beach field grass giraffe zebra kitchen sign clock air kite tennis ball player car auto .`)
	caption := func() string {
		var out []string
		for range 7 + rng.IntN(8) {
			out = append(out, words[rng.IntN(len(words))])
		}
		return strings.Join(out, " ")
	}
	items := make([]goldenItem, n)
	for i := range items {
		items[i].prediction = caption()
		for range 5 {
			items[i].references = append(items[i].references, caption())
		}
	}
	return items
}

// TestGoroutinesAgree scores the same pictures on several goroutines that share
// the tables, and adds up in another order.
func TestGoroutinesAgree(t *testing.T) {
	tb := small(t)
	items := captions(200, 1)
	var want meteor.Stats
	for _, it := range items {
		want.Merge(tb.Segment(it.prediction, it.references))
	}
	shared := small(t)
	sums := make([]meteor.Stats, 4)
	var wg sync.WaitGroup
	for w := range sums {
		wg.Go(func() {
			for i := len(items) - 1 - w; i >= 0; i -= len(sums) {
				sums[w].Merge(shared.Segment(items[i].prediction, items[i].references))
			}
		})
	}
	wg.Wait()
	for _, s := range sums[1:] {
		sums[0].Merge(s)
	}
	if sums[0] != want || want.Score() == 0 {
		t.Errorf("%+v on several goroutines, %+v on one", sums[0], want)
	}
}

func TestStatsSurviveJSON(t *testing.T) {
	before := small(t).Segment("the car stops on a hill", []string{"an auto stopped on the hill", "a dog"})
	data, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	var after meteor.Stats
	if err := json.Unmarshal(data, &after); err != nil {
		t.Fatal(err)
	}
	if after != before || before.Score() == 0 {
		t.Errorf("%+v became %+v", before, after)
	}
}

// BenchmarkSegment scores a picture with five references.
func BenchmarkSegment(b *testing.B) {
	tb := tables(b)
	items := captions(5000, 2)
	for b.Loop() {
		for _, it := range items[:100] {
			tb.Segment(it.prediction, it.references)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*100), "µs/picture")
}

func BenchmarkOpen(b *testing.B) {
	tables(b)
	folder := os.Getenv("BLIPFLOW_METEOR")
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			b.Fatal(err)
		}
		folder = filepath.Join(cache, "blipflow", "pycocoevalcap-1.2", "meteor")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := meteor.Open(folder); err != nil {
			b.Fatal(err)
		}
	}
}
