package evaluate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/runners"
	"github.com/blipflow/blipflow/stages/evaluate"
	"github.com/blipflow/blipflow/stages/records"
)

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

var items = []metrics.Item{
	{ImageID: "391895", Prediction: "a man rides a bike", References: []string{"A man riding a bike on a road.", "a man on a bicycle"}},
	{ImageID: "42", Prediction: "two dogs play", References: []string{"Two dogs are playing in the snow", "dogs play"}},
	{ImageID: "7", Prediction: "a cat", References: []string{"A black cat sits on a mat.", "cat on mat"}},
}

// fileName is how the pictures of the tests are called.
func fileName(id string) string { return fmt.Sprintf("dir of 100%%/img #%s.jpg", id) }

func write(t *testing.T, dir, name string, v ...any) string {
	t.Helper()
	var lines []string
	for _, x := range v {
		data, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(data))
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

type object = map[string]any

func cocoReferences(t *testing.T, dir string) string {
	var images, annotations []object
	for _, it := range items {
		images = append(images, object{"id": json.Number(it.ImageID), "file_name": filepath.Base(fileName(it.ImageID))})
		for _, r := range it.References {
			annotations = append(annotations, object{"image_id": json.Number(it.ImageID), "caption": r})
		}
	}
	return write(t, dir, "coco.json", object{"images": images, "annotations": annotations})
}

func karpathyReferences(t *testing.T, dir string) string {
	var images []object
	for i, it := range items {
		var sentences []object
		for _, r := range it.References {
			sentences = append(sentences, object{"raw": r})
		}
		images = append(images,
			object{"cocoid": json.Number(it.ImageID), "imgid": i, "filename": filepath.Base(fileName(it.ImageID)), "split": "test", "sentences": sentences},
			object{"cocoid": 1000 + i, "imgid": 100 + i, "filename": fmt.Sprint(i), "split": "train", "sentences": sentences})
	}
	return write(t, dir, "karpathy.json", object{"images": images, "dataset": "coco"})
}

func shardReferences(t *testing.T, dir string) string {
	path := filepath.Join(dir, "test-00000-of-00001.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := records.NewWriter(f, records.Meta{Split: "test"}, records.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		if err := w.Write(&records.Example{
			ImageID: it.ImageID, URI: fileName(it.ImageID), Split: "test", Captions: it.References,
			PixelWidth: 1, PixelHeight: 1, Pixels: []byte{1, 2, 3},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func score(t *testing.T, references, predictions, split string) (evaluate.Report, error) {
	t.Helper()
	return run(t, evaluate.Config{}, split, references, predictions, "")
}

// run scores files under settings whose output it sets.
func run(t *testing.T, cfg evaluate.Config, split, references, predictions, baseline string) (evaluate.Report, error) {
	t.Helper()
	cfg.Output = filepath.Join(t.TempDir(), "coco_metrics.json")
	p, s := beam.NewPipelineWithRoot()
	in := evaluate.Inputs{
		References:  evaluate.References(s, split, beam.Create(s, references)),
		Predictions: evaluate.Predictions(s, beam.Create(s, predictions)),
	}
	if baseline != "" {
		in.Baseline = evaluate.Predictions(s, beam.Create(s, baseline))
	}
	return result(t, p, s, cfg, in)
}

func result(t *testing.T, p *beam.Pipeline, s beam.Scope, cfg evaluate.Config, in evaluate.Inputs) (evaluate.Report, error) {
	t.Helper()
	evaluate.Score(s, cfg, in)
	_, err := runners.Run(context.Background(), p)
	if err != nil {
		if _, there := os.Stat(cfg.Output); there == nil {
			t.Error("a failed run left scores")
		}
		return evaluate.Report{}, err
	}
	data, err := os.ReadFile(cfg.Output)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Bleu_4", "METEOR", "CIDEr", "SPICE"} {
		if !strings.Contains(string(data), `"`+key+`"`) {
			t.Errorf("%s is not in %s", key, data)
		}
	}
	if left, err := filepath.Glob(cfg.Output + "?*"); err != nil || len(left) > 0 {
		t.Errorf("the run left %v, %v", left, err)
	}
	var r evaluate.Report
	return r, json.Unmarshal(data, &r)
}

func TestAllFormatsScoreTheSame(t *testing.T) {
	dir := t.TempDir()
	want, err := metrics.Score(items, metrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want.Bleu1.Score <= 0 || want.CIDEr.Score <= 0 {
		t.Fatalf("the example scores nothing: %+v", want)
	}
	var results, byID, byPath []any
	for i := range items {
		it := items[len(items)-1-i] // the order does not matter
		results = append(results, object{"image_id": json.Number(it.ImageID), "caption": it.Prediction})
		byID = append(byID, object{"image": "x", "image_id": it.ImageID, "caption": it.Prediction, "score": nil, "model": "m"})
		byPath = append(byPath, object{"image": fileName(it.ImageID), "caption": it.Prediction, "score": -1})
	}
	predictions := []string{write(t, dir, "results.json", results), write(t, dir, "id.jsonl", byID...), write(t, dir, "path.jsonl", byPath...)}
	for _, references := range []string{cocoReferences(t, dir), karpathyReferences(t, dir), shardReferences(t, dir)} {
		for _, p := range predictions {
			got, err := score(t, references, p, "")
			if err != nil {
				t.Errorf("%s, %s: %v", filepath.Base(references), filepath.Base(p), err)
				continue
			}
			if got.Scores != want.Scores || *got.SacreBleu != *want.SacreBleu || got.Images != len(items) {
				t.Errorf("%s, %s:\n got %+v\nwant %+v", filepath.Base(references), filepath.Base(p), got, want)
			}
		}
	}
}

func TestMismatchesAreErrorsThatNameThem(t *testing.T) {
	dir := t.TempDir()
	references := cocoReferences(t, dir)
	line := func(id, caption string) any { return object{"image": "x", "image_id": id, "caption": caption} }
	tests := []struct {
		name  string
		lines []any
		says  []string
	}{
		{"missing", []any{line("42", "a")}, []string{"2 pictures without a prediction", `"391895"`, `"7"`}},
		{"extra", []any{line("42", "a"), line("7", "a"), line("391895", "a"), line("new", "a")}, []string{"1 predictions without references", `"new"`}},
		{"twice", []any{line("42", "a"), line("7", "a"), line("391895", "a"), line("7", "b")}, []string{"1 pictures with several predictions", `"7"`}},
		{"none", nil, []string{"3 pictures without"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := score(t, references, write(t, dir, "p.jsonl", tt.lines...), "")
			for _, words := range tt.says {
				if err == nil || !strings.Contains(err.Error(), words) {
					t.Errorf("error %v does not say %s", err, words)
				}
			}
		})
	}
}

func TestBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	good := cocoReferences(t, dir)
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"annotations": [`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := score(t, bad, good, ""); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("broken references: %v", err)
	}
	if _, err := score(t, good, bad, ""); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("broken predictions: %v", err)
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	path := shardReferences(t, dir)
	for _, where := range []string{path, dir, filepath.Join(dir, "*.parquet")} {
		if got, err := evaluate.Shards(where, ""); err != nil || len(got) != 1 || got[0] != path {
			t.Errorf("%s: %v, %v", where, got, err)
		}
	}
	if _, err := evaluate.Shards(dir, "train"); !errors.Is(err, evaluate.ErrSplit) || !strings.Contains(err.Error(), "test") {
		t.Errorf("no such split: %v", err)
	}
	if _, err := evaluate.Shards(t.TempDir(), ""); err == nil {
		t.Error("an empty folder is no error")
	}
}
