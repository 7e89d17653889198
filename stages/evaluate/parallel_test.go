package evaluate_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/stages/evaluate"
)

// invented captions, of few words so that n-grams recur. Some are blank, and some
// end in a dot that the tokeniser keeps or not by what the next one begins with.
func invented(random *rand.Rand) string {
	words := strings.Fields("a the man woman dog cat sits on in red blue K. Mr. St. The He runs can't 1,000 -")
	n := random.IntN(12)
	if random.IntN(30) == 0 {
		n = 0
	}
	var out []string
	for range n {
		out = append(out, words[random.IntN(len(words))])
	}
	return strings.Join(out, " ")
}

func inventedItems(n int) (items []metrics.Item, domains []string) {
	random := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		it := metrics.Item{ImageID: fmt.Sprint(100_000 - i), Prediction: invented(random)}
		for range 1 + random.IntN(4) {
			it.References = append(it.References, invented(random))
		}
		items = append(items, it)
		domains = append(domains, []string{"", "in-domain", "out-domain"}[random.IntN(3)])
	}
	return items, domains
}

// files writes items as COCO has them.
func files(t *testing.T, items []metrics.Item, domains []string) (references, predictions string) {
	t.Helper()
	dir := t.TempDir()
	var images, annotations, results []object
	for i, it := range items {
		images = append(images, object{"id": json.Number(it.ImageID), "domain": domains[i]})
		for _, r := range it.References {
			annotations = append(annotations, object{"image_id": json.Number(it.ImageID), "caption": r})
		}
		results = append(results, object{"image_id": json.Number(it.ImageID), "caption": it.Prediction})
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(results), func(i, j int) { results[i], results[j] = results[j], results[i] })
	return write(t, dir, "references.json", object{"images": images, "annotations": annotations}), write(t, dir, "predictions.json", results)
}

// What is scored in parts has the digits of what is scored at once, as a whole and
// by domains.
func TestPartsScoreAsTheWhole(t *testing.T) {
	items, domains := inventedItems(5600)
	// At the border of a chunk what the first of the next says decides about a dot.
	items[4999] = metrics.Item{ImageID: items[4999].ImageID, Prediction: "the letter K.", References: []string{"letter K", "a big letter K."}}
	items[5000].Prediction, items[5000].References = "", []string{" ", "The dog"}
	items[5001].Prediction = "The letter"
	references, predictions := files(t, items, domains)
	got, err := run(t, evaluate.Config{}, "", references, predictions, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := metrics.Score(items, metrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	same := func(name string, got, want metrics.Report) {
		if diff := cmp.Diff(want.Scores, got.Scores); diff != "" {
			t.Errorf("%s (-at once +in parts):\n%s", name, diff)
		}
		if *got.SacreBleu != *want.SacreBleu || got.Images != want.Images {
			t.Errorf("%s: %+v of %d, want %+v of %d", name, got.SacreBleu, got.Images, want.SacreBleu, want.Images)
		}
	}
	same("all", got.Report, want)
	if len(got.Domains) != 2 {
		t.Fatalf("domains %v", got.Domains)
	}
	for domain, d := range got.Domains {
		// A domain's captions are tokenised among all others.
		want := want
		want.Scores.CIDEr = metrics.Value{}
		if d.Images == 0 || d.Images >= len(items) || !d.CIDEr.Known || d.CIDEr == want.CIDEr {
			t.Errorf("%s: %+v", domain, d)
		}
	}
}

func TestDomainIsASetOfItsOwn(t *testing.T) {
	items, domains := inventedItems(300)
	var part []metrics.Item
	for i := range items {
		for j, r := range items[i].References { // without dots nothing looks ahead
			items[i].References[j] = strings.ReplaceAll(r, ".", "")
		}
		items[i].Prediction = strings.ReplaceAll(items[i].Prediction, ".", "")
		if domains[i] == "in-domain" {
			part = append(part, items[i])
		}
	}
	references, predictions := files(t, items, domains)
	got, err := run(t, evaluate.Config{}, "", references, predictions, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := metrics.Score(part, metrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Scores, got.Domains["in-domain"].Scores); diff != "" {
		t.Errorf("(-alone +as a domain):\n%s", diff)
	}
}

func TestAllowMissing(t *testing.T) {
	references, predictions := files(t, items, make([]string, len(items)))
	some := write(t, t.TempDir(), "some.json", []object{
		{"image_id": 42, "caption": "two dogs play"}, {"image_id": 7, "caption": "a cat"}, {"image_id": 8, "caption": "none of them"},
	})
	got, err := run(t, evaluate.Config{AllowMissing: true}, "", references, some, "")
	if err != nil {
		t.Fatal(err)
	}
	if got.Images != 2 || got.Unscored != 2 {
		t.Errorf("%d pictures scored, %d left out; want 2 and 2", got.Images, got.Unscored)
	}
	if _, err := run(t, evaluate.Config{}, "", references, predictions, some); err == nil || !strings.Contains(err.Error(), "1 pictures without a prediction of the baseline") {
		t.Errorf("baseline with a picture less: %v", err)
	}
}

func TestBaselineAndIntervals(t *testing.T) {
	items, domains := inventedItems(400)
	references, predictions := files(t, items, domains)
	better := make([]metrics.Item, len(items))
	for i, it := range items {
		better[i] = it
		if i%2 == 0 {
			better[i].Prediction = it.References[0]
		}
	}
	_, best := files(t, better, domains)
	cfg := evaluate.Config{Bootstrap: metrics.Bootstrap{Resamples: 200, Seed: 3}}
	got, err := run(t, cfg, "", references, best, predictions)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := run(t, cfg, "", references, predictions, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Bleu_4", "ROUGE_L", "CIDEr", "sacrebleu"} {
		d, i := got.Baseline[key], got.Confidence.Intervals[key]
		if d.Difference <= 0 || d.Low <= 0 || d.High <= d.Low || d.P > 0.01 || i.Low >= i.High {
			t.Errorf("%s: %+v, %+v", key, d, i)
		}
	}
	if d := got.Baseline["CIDEr"]; d.Baseline != alone.CIDEr.Score || math.Abs(d.Baseline+d.Difference-got.CIDEr.Score) > 1e-12 {
		t.Errorf("CIDEr %v, of the baseline alone %v: %+v", got.CIDEr, alone.CIDEr, d)
	}
	if again, err := run(t, cfg, "", references, best, predictions); err != nil || !cmp.Equal(again, got) {
		t.Errorf("again: %v\n%s", err, cmp.Diff(got, again))
	}
	if !strings.Contains(strings.Join(got.Warnings, " "), "word for word") {
		t.Errorf("half the captions are references, and nothing warns of it: %q", got.Warnings)
	}
	same, err := run(t, cfg, "", references, best, best)
	if err != nil || same.Baseline["CIDEr"].Difference != 0 || same.Baseline["CIDEr"].P != 1 {
		t.Errorf("compared with itself: %+v, %v", same.Baseline["CIDEr"], err)
	}
}

func TestPerImage(t *testing.T) {
	many, domains := inventedItems(1500)
	references, predictions := files(t, many, domains)
	want, err := metrics.Score(many, metrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(t.TempDir(), "scores.parquet")
	if _, err := run(t, evaluate.Config{PerImage: table}, "", references, predictions, ""); err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.ReadFile[evaluate.Row](table)
	if err != nil || len(rows) != len(many) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, r := range rows {
		of := want.PerImage[i]
		if r.ImageID != of.ImageID || *r.CIDEr != of.CIDEr.Score || *r.Bleu4 != of.Bleu4.Score || *r.RougeL != of.RougeL.Score || r.SPICE != nil ||
			r.Domain != domains[i] || r.Caption != many[i].Prediction || !cmp.Equal(r.References, many[i].References) {
			t.Fatalf("row %d: %+v\nwant %+v", i, r, of)
		}
	}
	table = filepath.Join(t.TempDir(), "scores.csv")
	if _, err := run(t, evaluate.Config{PerImage: table}, "", references, predictions, ""); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(table)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) != len(many)+1 || lines[0][10] != "CIDEr" || lines[7][10] != fmt.Sprint(*rows[6].CIDEr) || lines[7][11] != "" {
		t.Errorf("%d lines, %v: %q", len(lines), err, lines[:min(len(lines), 8)])
	}
}

func TestPromptThatTellsAReference(t *testing.T) {
	references, _ := files(t, items, make([]string, len(items)))
	tests := []struct {
		name, prompt string
		refused      bool
	}{
		{"a reference", "A man riding a bike on a road.", true},
		{"a reference and more", "a photo: A man riding a bike on a road", true},
		{"the beginning of one", "a man riding a bike", true},
		{"a style", "a picture of", false},
		{"none", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []any
			for _, it := range items {
				lines = append(lines, object{"image_id": it.ImageID, "caption": it.Prediction, "prompt": tt.prompt})
			}
			_, err := run(t, evaluate.Config{}, "", references, write(t, t.TempDir(), "p.jsonl", lines...), "")
			if tt.refused != (err != nil && strings.Contains(err.Error(), evaluate.ErrLeak.Error()) && strings.Contains(err.Error(), `"391895"`)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestTrainingDataIsNotScored(t *testing.T) {
	dir := t.TempDir()
	references, predictions := cocoReferences(t, dir), write(t, dir, "p.json", []object{
		{"image_id": 391895, "caption": "a"}, {"image_id": 42, "caption": "a"}, {"image_id": 7, "caption": "a"},
	})
	other := items[0]
	other.ImageID = "1"
	another, _ := files(t, []metrics.Item{other}, []string{""})
	karpathy := karpathyReferences(t, dir) // its training pictures have other ids
	tests := []struct {
		name, training, says string
	}{
		{"the same file", references, `3 pictures that the training data has too: "391895", "42", "7"`},
		{"other pictures", another, ""},
		{"the training split of a file with the same test split", karpathy, ""},
		{"a shard with the same names", shardReferences(t, dir), "3 pictures"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			_, err := result(t, p, s, evaluate.Config{Output: filepath.Join(t.TempDir(), "m.json")}, evaluate.Inputs{
				References:  evaluate.References(s, "", beam.Create(s, references)),
				Predictions: evaluate.Predictions(s, beam.Create(s, predictions)),
				Training:    beam.Create(s, tt.training),
			})
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
}
