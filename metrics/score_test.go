package metrics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/metrics/internal/golden"
	"github.com/blipflow/blipflow/metrics/meteor"
	"github.com/blipflow/blipflow/metrics/ptb"
)

// tolerance is what the project promises. The differences there are come from
// numpy's order of addition and from the last bit of pow and exp, below 1e-13.
const tolerance = 1e-9

// scoreSet is a golden set: pictures and what the references say of them.
type scoreSet struct {
	Name                   string
	Items                  []goldenItem
	Bleu                   []float64   // by order
	Bleus                  [][]float64 // by order and picture
	Rouge, Cider, Plain    float64
	Rouges, Ciders, Plains []float64
	Sacrebleu              float64
	Signature              string
	Meteor                 float64 // where Meteors has one for each picture
	Meteors                []float64
}

// goldenItem is [prediction, references] in JSON.
type goldenItem struct {
	prediction string
	references []string
}

func (g *goldenItem) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&g.prediction, &g.references})
}

func (s scoreSet) items() []metrics.Item {
	items := make([]metrics.Item, len(s.Items))
	for i, it := range s.Items {
		items[i] = metrics.Item{ImageID: fmt.Sprint(i), Prediction: it.prediction, References: it.references}
	}
	return items
}

func loadSets(tb testing.TB) []scoreSet {
	var sets []scoreSet
	golden.Load(tb, "scores", &sets)
	if len(sets) < 15 {
		tb.Fatalf("only %d sets", len(sets))
	}
	return sets
}

// near reports a score that is off.
func near(t *testing.T, what string, got metrics.Value, want float64) {
	t.Helper()
	if !got.Known || math.Abs(got.Score-want) > tolerance {
		t.Errorf("%s is %v (%.17g), want %.17g", what, got, got.Score, want)
	}
}

func TestScoreAgainstReferences(t *testing.T) { checkSets(t, loadSets(t)) }

// loadFile reads the set that testdata/metrics_bench.py hands over.
func loadFile(tb testing.TB) []scoreSet {
	path := os.Getenv("BLIPFLOW_METRICS_FILE")
	if path == "" {
		tb.Skip("testdata/metrics_bench.py runs this")
	}
	var sets []scoreSet
	golden.LoadFile(tb, path, &sets)
	return sets
}

func TestFile(t *testing.T) { checkSets(t, loadFile(t)) }

func BenchmarkFile(b *testing.B) {
	items := loadFile(b)[0].items()
	run := func(name string, options func(b *testing.B) metrics.Options) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := metrics.Score(items, options(b)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("n-grams", func(*testing.B) metrics.Options { return metrics.Options{Skip: metrics.SACREBLEU} })
	// With reading its tables, as a command does.
	run("METEOR", func(b *testing.B) metrics.Options {
		return metrics.Options{Skip: metrics.SACREBLEU | metrics.BLEU | metrics.ROUGE | metrics.CIDER, Meteor: meteorTables(b)}
	})
}

// meteorTables reads those that the set-up has fetched.
func meteorTables(tb testing.TB) *meteor.Tables {
	tb.Helper()
	folder, err := meteor.Folder()
	if err != nil {
		tb.Skip(err)
	}
	tables, err := meteor.Open(folder)
	if errors.Is(err, meteor.ErrNoTables) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return tables
}

// meteorTolerance is what the project promises of METEOR, whose reference prints
// the scores of pictures with all their digits.
const meteorTolerance = 1e-6

func checkMeteor(t *testing.T, r metrics.Report, set scoreSet) {
	t.Helper()
	most := math.Abs(r.METEOR.Score - set.Meteor)
	for i, image := range r.PerImage {
		most = max(most, math.Abs(image.METEOR.Score-set.Meteors[i]))
	}
	t.Logf("METEOR deviates by %.2g at most", most)
	if most > meteorTolerance || !r.METEOR.Known {
		t.Errorf("METEOR is %v, want %v; the largest deviation is %v", r.METEOR, set.Meteor, most)
	}
}

// checkSets scores sets and compares.
func checkSets(t *testing.T, sets []scoreSet) {
	for _, set := range sets {
		t.Run(set.Name, func(t *testing.T) {
			var options metrics.Options
			if set.Meteors != nil {
				options.Meteor = meteorTables(t)
			}
			r, err := metrics.Score(set.items(), options)
			if err != nil {
				t.Fatal(err)
			}
			if set.Meteors != nil {
				checkMeteor(t, r, set)
			}
			for k, v := range bleu(r.Scores) {
				near(t, fmt.Sprintf("BLEU-%d", k+1), v, set.Bleu[k])
			}
			near(t, "ROUGE-L", r.RougeL, set.Rouge)
			near(t, "CIDEr", r.CIDEr, set.Cider)
			near(t, "plain CIDEr", r.PlainCIDEr, set.Plain)
			if math.Abs(r.SacreBleu.Score-set.Sacrebleu) > tolerance || r.SacreBleu.Signature != set.Signature {
				t.Errorf("sacrebleu is %+v, want %v %s", *r.SacreBleu, set.Sacrebleu, set.Signature)
			}
			for i, image := range r.PerImage {
				for k, v := range bleu(image.Scores) {
					near(t, fmt.Sprintf("BLEU-%d of picture %d", k+1, i), v, set.Bleus[k][i])
				}
				near(t, fmt.Sprint("ROUGE-L of picture ", i), image.RougeL, set.Rouges[i])
				near(t, fmt.Sprint("CIDEr of picture ", i), image.CIDEr, set.Ciders[i])
				near(t, fmt.Sprint("plain CIDEr of picture ", i), image.PlainCIDEr, set.Plains[i])
			}
		})
	}
}

func bleu(s metrics.Scores) []metrics.Value {
	return []metrics.Value{s.Bleu1, s.Bleu2, s.Bleu3, s.Bleu4}
}

// captions invents n pictures with the given number of references, of words
// that repeat as those of real captions do.
func captions(n, references int, seed uint64) []metrics.Item {
	rng := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields(`a a a a the the of on in with and man woman dog cat street sitting standing next to red
		white large small people holding plate pizza table train bus two three young riding wave beach field grass
		giraffe zebra kitchen bathroom sign clock tower air kite skateboard tennis ball player bench umbrella.`)
	caption := func() string {
		var b strings.Builder
		for range 7 + rng.IntN(8) {
			if rng.IntN(5) == 0 {
				fmt.Fprintf(&b, "word%d ", int(math.Exp(rng.Float64()*9)))
			}
			b.WriteString(words[rng.IntN(len(words))] + " ")
		}
		return strings.TrimSpace(b.String()) + "."
	}
	items := make([]metrics.Item, n)
	for i := range items {
		items[i].ImageID = fmt.Sprint(i)
		for range references {
			items[i].References = append(items[i].References, caption())
		}
		items[i].Prediction = caption()
		if rng.IntN(3) == 0 {
			items[i].Prediction = items[i].References[0] + " " + caption()
		}
	}
	return items
}

func mustScore(t *testing.T, items []metrics.Item, opts metrics.Options) metrics.Report {
	t.Helper()
	r, err := metrics.Score(items, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWorkersChangeNoDigit(t *testing.T) {
	items := captions(500, 5, 1)
	want := mustScore(t, items, metrics.Options{Workers: 1})
	for _, workers := range []int{0, 2, 7, 100} {
		if got := mustScore(t, items, metrics.Options{Workers: workers}); !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: %+v, one: %+v", workers, got.Scores, want.Scores)
		}
	}
}

func TestOrderChangesNoDigit(t *testing.T) {
	items := captions(300, 3, 2)
	opts := metrics.Options{EachAlone: true}
	want := mustScore(t, items, opts)
	rng := rand.New(rand.NewPCG(3, 3))
	rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	got := mustScore(t, items, opts)
	if got.Scores != want.Scores || *got.SacreBleu != *want.SacreBleu {
		t.Errorf("shuffled %+v, before %+v", got.Scores, want.Scores)
	}
}

func TestReferencesMatter(t *testing.T) {
	items := captions(50, 5, 4)
	before := mustScore(t, items, metrics.Options{})
	for i := range items {
		items[i].Prediction = items[i].References[2]
	}
	after := mustScore(t, items, metrics.Options{})
	if after.Bleu4.Score < 0.999 || before.Bleu4.Score > 0.9 {
		t.Errorf("BLEU-4 %v, of a copied reference %v", before.Bleu4, after.Bleu4)
	}
}

// TestStatsMergeToTheSameDigits scores in parts, as machines far apart would,
// and expects Score's digits.
func TestStatsMergeToTheSameDigits(t *testing.T) {
	items := captions(400, 4, 5)
	want := mustScore(t, items, metrics.Options{EachAlone: true})

	const parts = 7
	var df [parts]metrics.DocumentFrequencies
	var bleus [parts]metrics.BleuStats
	var rouges [parts]metrics.RougeStats
	var sacres [parts]metrics.SacreBleuStats
	for i, it := range items {
		p, refs := tokens(it)
		part := i * i % parts
		df[part].Add(refs)
		bleus[part].Add(p, refs)
		sacres[part].Add(it.Prediction, it.References)
		if got := rouges[part].Add(p, refs); got != want.PerImage[i].RougeL.Score {
			t.Errorf("ROUGE-L of picture %d is %v, want %v", i, got, want.PerImage[i].RougeL)
		}
	}
	for part := parts - 1; part > 0; part-- {
		df[part-1].Merge(df[part])
		bleus[part-1].Merge(bleus[part])
		rouges[part-1].Merge(rouges[part])
		sacres[part-1].Merge(sacres[part])
	}
	var ciders [parts]metrics.CiderStats
	for i, it := range items {
		p, refs := tokens(it)
		ciders[i%parts].Add(df[0].Cider(p, refs))
	}
	var cider metrics.CiderStats
	for _, c := range ciders {
		cider.Merge(c)
	}

	if got := bleus[0].Scores(); got != [4]float64{want.Bleu1.Score, want.Bleu2.Score, want.Bleu3.Score, want.Bleu4.Score} {
		t.Errorf("BLEU %v, want %+v", got, want.Scores)
	}
	if got := rouges[0].Score(); got != want.RougeL.Score {
		t.Errorf("ROUGE-L %v, want %v", got, want.RougeL.Score)
	}
	if got := cider.Score(); got.D != want.CIDEr.Score || got.Plain != want.PlainCIDEr.Score {
		t.Errorf("CIDEr %v, want %v and %v", got, want.CIDEr.Score, want.PlainCIDEr.Score)
	}
	if got := sacres[0].Score(); got != *want.SacreBleu {
		t.Errorf("sacrebleu %v, want %v", got, *want.SacreBleu)
	}
}

func tokens(it metrics.Item) (prediction string, references []string) {
	for _, r := range it.References {
		references = append(references, ptb.Tokenize(r))
	}
	return ptb.Tokenize(it.Prediction), references
}

// TestStatsSurviveJSON takes the statistics through JSON, as a worker's message
// would, and goes on with them.
func TestStatsSurviveJSON(t *testing.T) {
	type all struct {
		DF    metrics.DocumentFrequencies
		Bleu  metrics.BleuStats
		Rouge metrics.RougeStats
		Cider metrics.CiderStats
		Sacre metrics.SacreBleuStats
	}
	var before, after all
	before.DF.Add([]string{"a dog runs", "a cat"})
	before.Bleu.Add("a dog", []string{"a dog runs"})
	before.Rouge.Add("a dog runs", []string{"a dog ran away"})
	before.Cider.Add(metrics.CiderScores{D: 1.0 / 3, Plain: 2.0 / 3})
	before.Sacre.Add("A dog.", []string{"A dog ran."})
	data, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &after); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%+v became %+v", before, after)
	}
}

func TestScoreErrors(t *testing.T) {
	ok := metrics.Item{ImageID: "cat.jpg", Prediction: "a cat", References: []string{"a cat"}}
	tests := []struct {
		name  string
		items []metrics.Item
		want  error
		says  string
	}{
		{"nothing", nil, metrics.ErrNoItems, "no captions"},
		{"no references", []metrics.Item{ok, {ImageID: "dog.jpg", Prediction: "a dog"}}, metrics.ErrNoReferences, "dog.jpg"},
		{"twice", []metrics.Item{ok, ok}, metrics.ErrDuplicateImage, "cat.jpg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := metrics.Score(tt.items, metrics.Options{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %v, want %v with %q", err, tt.want, tt.says)
			}
		})
	}
}

func TestReportJSON(t *testing.T) {
	items := captions(3, 2, 6)
	tests := []struct {
		name         string
		skip         metrics.Metric
		known, nulls []string
	}{
		{"all", 0,
			[]string{"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr", "CIDEr_plain", "sacrebleu", "images"},
			[]string{"METEOR", "SPICE"}},
		{"none", metrics.BLEU | metrics.ROUGE | metrics.CIDER | metrics.SACREBLEU,
			[]string{"images"},
			[]string{"Bleu_1", "Bleu_4", "ROUGE_L", "CIDEr", "CIDEr_plain", "sacrebleu", "METEOR", "SPICE"}},
		{"without CIDEr", metrics.CIDER, []string{"Bleu_4", "ROUGE_L", "sacrebleu"}, []string{"CIDEr", "CIDEr_plain"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := json.Marshal(mustScore(t, items, metrics.Options{Skip: tt.skip}))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			for _, key := range tt.known {
				if got[key] == nil {
					t.Errorf("%s is null in %s", key, data)
				}
			}
			for _, key := range tt.nulls {
				if v, ok := got[key]; !ok || v != nil {
					t.Errorf("%s is %v, there: %t, in %s", key, v, ok, data)
				}
			}
		})
	}
}

func TestReportReadsItsJSON(t *testing.T) {
	want := mustScore(t, captions(3, 2, 7), metrics.Options{Skip: metrics.ROUGE})
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	want.PerImage = nil
	var got metrics.Report
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v became %+v", want, got)
	}
}

func ExampleScore() {
	report, err := metrics.Score([]metrics.Item{
		{ImageID: "1", Prediction: "A brown dog runs on the beach.", References: []string{"A dog runs along the beach.", "A brown dog on a beach."}},
		{ImageID: "2", Prediction: "two cats", References: []string{"Two cats sleep on a sofa.", "A pair of cats."}},
	}, metrics.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("BLEU-1", report.Bleu1, "ROUGE-L", report.RougeL, "CIDEr", report.CIDEr, "METEOR", report.METEOR)
	fmt.Println(report.SacreBleu.Signature)
	// Output:
	// BLEU-1 0.8948 ROUGE-L 0.6193 CIDEr 2.4306 METEOR -
	// nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0
}

// BenchmarkScore scores 5,000 pictures with five references each. For a run
// beside pycocoevalcap see testdata/metrics_bench.py.
func BenchmarkScore(b *testing.B) {
	items := captions(5000, 5, 8)
	for _, bb := range []struct {
		name string
		skip metrics.Metric
	}{
		{"coco", metrics.SACREBLEU},
		{"bleu", metrics.ROUGE | metrics.CIDER | metrics.SACREBLEU},
		{"rouge", metrics.BLEU | metrics.CIDER | metrics.SACREBLEU},
		{"cider", metrics.BLEU | metrics.ROUGE | metrics.SACREBLEU},
		{"sacrebleu", metrics.BLEU | metrics.ROUGE | metrics.CIDER},
		{"all", 0},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := metrics.Score(items, metrics.Options{Skip: bb.skip}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
