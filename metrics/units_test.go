package metrics

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/metrics/internal/golden"
)

func TestTokenize13a(t *testing.T) {
	var file [][2]string
	golden.Load(t, "thirteen", &file)
	for _, p := range file {
		if got := Tokenize13a(p[0]); got != p[1] {
			t.Errorf("Tokenize13a(%q)\n got %q\nwant %q", p[0], got, p[1])
		}
	}
}

func FuzzTokenize13a(f *testing.F) {
	for _, s := range []string{"A dog.", "1,000.50-2", "a.,b", "&amp;lt;", "-\n<skipped>\x1c", "é.1\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Tokenize13a(text)
		if strings.HasPrefix(got, " ") || strings.HasSuffix(got, " ") || strings.Contains(got, "  ") {
			t.Errorf("Tokenize13a(%q) = %q has an empty token", text, got)
		}
		for _, token := range strings.Fields(got) {
			if i := strings.IndexAny(token, `!"#$%()*+/:;<=>?@[\]^_{|}~`+"`&"); i >= 0 && len(token) > 1 {
				t.Errorf("Tokenize13a(%q) left %q whole", text, token)
			}
		}
	})
}

// TestSubsequence compares the bits with the table of the textbook.
func TestSubsequence(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sentence := func() []string {
		out := make([]string, rng.IntN(150))
		for i := range out {
			out[i] = string(rune('a' + rng.IntN(1+rng.IntN(20))))
		}
		return out
	}
	for range 300 {
		a, b := sentence(), sentence()
		var l subsequence
		l.set(a)
		for range 2 { // the sentence is used for many others
			if got, want := l.common(b), table(a, b); got != want {
				t.Fatalf("%v and %v have %d in common, want %d", a, b, got, want)
			}
		}
	}
}

// table is the length of the longest common subsequence, row by row.
func table(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		last := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = last + 1
			} else {
				row[j+1] = max(row[j], above)
			}
			last = above
		}
	}
	return row[len(b)]
}

func TestMean(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var whole, left, right Mean
	var sum float64
	for i := range 10000 {
		x := rng.Float64() * 10
		if i%7 == 0 {
			x = math.Ldexp(x, -rng.IntN(60))
		}
		sum += x
		whole.Add(x)
		if rng.IntN(2) == 0 {
			left.Add(x)
		} else {
			right.Add(x)
		}
	}
	right.Merge(left)
	if right != whole {
		t.Errorf("merged %+v, in one %+v", right, whole)
	}
	if want := sum / 10000; math.Abs(whole.Value()-want) > 1e-12 { // 10,000 roundings of the float sum
		t.Errorf("mean is %v, want %v", whole.Value(), want)
	}
	if (Mean{}).Value() != 0 {
		t.Error("the mean of nothing is not 0")
	}
	var tenth Mean
	for range 10 {
		tenth.Add(0.1)
	}
	if tenth.Value() != 0.1 {
		t.Errorf("the mean of ten 0.1 is %v", tenth.Value())
	}
}

// TestNgramTable compares the hash table with a map.
func TestNgramTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var table ngramTable
	for range 3 {
		table.clear()
		ids := map[ngram]uint32{}
		for range 20000 {
			key := ngram{1 + rng.Uint32N(30)}
			for k := 1; k < 1+rng.IntN(maxOrder); k++ {
				key[k] = 1 + rng.Uint32N(10)
			}
			want, old := ids[key]
			if !old {
				want = uint32(len(ids))
				ids[key] = want
			}
			if id, isNew := table.id(key); id != want || isNew == old {
				t.Fatalf("%v has number %d, new: %t, want %d, %t", key, id, isNew, want, !old)
			}
		}
	}
}

func TestRougeLOfEmptyCaptions(t *testing.T) {
	tests := []struct {
		prediction string
		references []string
		want       float64
	}{
		{"", []string{""}, 1}, // one empty token each, as in the reference
		{"", []string{"a dog"}, 0},
		{"a", []string{""}, 0},
		{"a dog", []string{"a", "dog dog"}, 1}, // precision 1/2, recall 1: see want below
	}
	tests[3].want = (1 + 1.44) * 0.5 * 1 / (1 + 1.44*0.5)
	for _, tt := range tests {
		if got := RougeL(tt.prediction, tt.references); math.Abs(got-tt.want) > 1e-15 {
			t.Errorf("RougeL(%q, %q) = %v, want %v", tt.prediction, tt.references, got, tt.want)
		}
	}
}

func TestOnePictureHasNoCider(t *testing.T) {
	var df DocumentFrequencies
	refs := []string{"a dog runs on the beach"}
	df.Add(refs)
	if got := df.Cider(refs[0], refs); got != (CiderScores{}) {
		t.Errorf("CIDEr of one picture is %v", got)
	}
}

func TestSacreBleuOfNothing(t *testing.T) {
	var s SacreBleuStats
	if got := s.Score().Score; got != 0 {
		t.Errorf("score of nothing is %v", got)
	}
	s.Merge(SacreBleuStats{})
	s.Add("", []string{""})
	if got := s.Score(); got.Score != 0 || !strings.HasPrefix(got.Signature, "nrefs:1|") {
		t.Errorf("score of an empty caption is %v", got)
	}
}

func TestSplitKnowsPythonsSpaces(t *testing.T) {
	c := newCounter(new(lexicon))
	c.load("22\u00a03/4\x1cb  c\u3000d ", []string{"\t"})
	if c.prediction.words != 5 || c.references[0].words != 0 {
		t.Errorf("%d and %d words, want 5 and 0", c.prediction.words, c.references[0].words)
	}
	if text := c.lexicon.text(c.ngrams[c.prediction.order(3)[1].id]); text != "3/4 b c d" {
		t.Errorf("the second 4-gram is %q", text)
	}
}
