package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/blipflow/blipflow/metrics"
	"github.com/blipflow/blipflow/stages/caption/captiontest"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
)

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

// evaluate1 does what the command does with args, without SPICE, whose own package
// tests it: it takes long.
func evaluate1(t *testing.T, args ...string) (string, error) {
	t.Helper()
	set := flag.NewFlagSet("evaluate", flag.ContinueOnError)
	c, err := program().Parse(set, append([]string{"--spice=false"}, args...), io.Discard)
	if err != nil {
		return "", err
	}
	if err := c.validate(); err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = run(t.Context(), c, &out, io.Discard)
	return out.String(), err
}

// shards writes test pictures in two shards, captions of picture i being those of
// word(i), and returns their folder.
func shards(t *testing.T, word func(i int) string) string {
	t.Helper()
	dir := t.TempDir()
	processor := imaging.DefaultProcessor(captiontest.Side)
	for n := range 2 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("test-%05d-of-00002.parquet", n)))
		if err != nil {
			t.Fatal(err)
		}
		w, err := records.NewWriter(f, records.Meta{Split: "test", ProcessorHash: processor.Hash()}, records.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := n * 6; i < n*6+6; i++ {
			var rgb imaging.RGB
			b := captiontest.Picture(i)
			rgb.W, rgb.H = b.Rect.Dx(), b.Rect.Dy()
			for at := 0; at < len(b.Pix); at += 4 {
				rgb.Pix = append(rgb.Pix, b.Pix[at:at+3]...)
			}
			small := processor.Apply(&rgb)
			e := records.Example{
				ImageID: fmt.Sprint("id", i), URI: fmt.Sprintf("p %d#.jpg", i), Split: "test",
				PixelWidth: small.W, PixelHeight: small.H, Pixels: small.Pix, Captions: []string{word(i), "a thing"},
			}
			if err := w.Write(&e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func report(t *testing.T, path string) metrics.Report {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r metrics.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The predictions for the same pictures are the same whatever their references
// say, and score by what they say.
func TestModelNeverSeesReferences(t *testing.T) {
	model, dir := captiontest.Model(t, "tiny", 1), t.TempDir()
	captions := func(name string, word func(int) string) (string, metrics.Report) {
		t.Helper()
		out := filepath.Join(dir, name+".json")
		text, err := evaluate1(t, "--model="+model, "--data="+shards(t, word), "--output="+out, "--device=cpu")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, "BLEU-4") || !strings.Contains(text, out) {
			t.Errorf("printed %q", text)
		}
		data, err := os.ReadFile(filepath.Join(dir, name+".captions.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data), report(t, out)
	}
	first, low := captions("first", func(i int) string { return fmt.Sprintf("red circle %d", i) })
	said := map[string]string{}
	for line := range strings.Lines(first) {
		var row struct {
			ImageID string `json:"image_id"`
			Caption string `json:"caption"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		said[row.ImageID] = row.Caption
	}
	if len(said) != 12 || low.Images != 12 {
		t.Fatalf("%d captions, %d scored, want 12: %s", len(said), low.Images, first)
	}
	second, high := captions("second", func(i int) string { return said[fmt.Sprint("id", i)] })
	if first != second {
		t.Errorf("other references, other predictions:\n%s\n%s", first, second)
	}
	if high.Bleu1.Score < 0.99 || low.Bleu1.Score > 0.9 {
		t.Errorf("BLEU-1 %v of the predictions themselves, %v of other words", high.Bleu1, low.Bleu1)
	}

	// The captions that were written score the same when they are read.
	out := filepath.Join(dir, "read.json")
	data := shards(t, func(i int) string { return said[fmt.Sprint("id", i)] })
	if _, err := evaluate1(t, "--references="+data, "--predictions="+filepath.Join(dir, "second.captions.jsonl"), "--output="+out); err != nil {
		t.Fatal(err)
	}
	if got := report(t, out); got.Scores != high.Scores {
		t.Errorf("read %+v, made %+v", got.Scores, high.Scores)
	}
}

// Predictions of two systems, a picture that one of them lacks, a table of pictures
// and training data, by the command's flags.
func TestComparesTabulatesAndRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path(name)
	}
	references := write("references.json", `{"images": [{"id": 1, "domain": "in-domain"}, {"id": 2, "domain": "near-domain"}, {"id": 3, "domain": "in-domain"}],
		"annotations": [{"image_id": 1, "caption": "a dog runs on the grass"}, {"image_id": 2, "caption": "two cats sleep"}, {"image_id": 3, "caption": "a red bus"}]}`)
	good := write("good.json", `[{"image_id": 1, "caption": "a dog runs on grass"}, {"image_id": 2, "caption": "two cats sleep"}, {"image_id": 3, "caption": "a bus"}]`)
	bad := write("bad.json", `[{"image_id": 1, "caption": "a cat"}, {"image_id": 2, "caption": "a dog"}, {"image_id": 3, "caption": "a man"}]`)
	some := write("some.json", `[{"image_id": 1, "caption": "a dog runs on grass"}]`)
	out, table := path("m.json"), path("table.csv")
	text, err := evaluate1(t, "--references="+references, "--predictions="+good, "--baseline="+bad, "--per_image="+table, "--output="+out, "--bootstrap=50")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"against", "in-domain: 2 pictures", "near-domain: 1 pictures", out + " and " + table} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if lines, err := os.ReadFile(table); err != nil || strings.Count(string(lines), "\n") != 4 || !strings.Contains(string(lines), "\n2,near-domain,two cats sleep,") {
		t.Errorf("%v, the table is\n%s", err, lines)
	}
	if text, err = evaluate1(t, "--references="+references, "--predictions="+some, "--allow_missing", "--output="+out); err != nil || !strings.Contains(text, "left out            2") {
		t.Errorf("missing predictions allowed: %v\n%s", err, text)
	}
	for _, tt := range []struct {
		says string
		args []string
	}{
		{"2 pictures without a prediction", []string{"--predictions=" + some}},
		{"3 pictures that the training data has too", []string{"--predictions=" + good, "--train_data=" + references}},
		{"absent.json", []string{"--predictions=" + good, "--train_data=" + path("absent.json")}},
		{"baseline", []string{"--predictions=" + good, "--baseline=" + path("absent.json")}},
	} {
		if _, err := evaluate1(t, append(tt.args, "--references="+references, "--output="+path("refused.json"))...); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: error %v does not say %q", tt.args, err, tt.says)
		}
	}
	if _, err := os.Stat(path("refused.json")); err == nil {
		t.Error("a refused run left scores")
	}
}

func TestBadSettings(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		args []string
		says string
	}{
		{nil, "--predictions"},
		{[]string{"--predictions=p", "--model=m", "--references=r"}, "--predictions"},
		{[]string{"--predictions=p"}, "--references"},
		{[]string{"--predictions=p", "--references=" + filepath.Join(dir, "absent.json")}, "absent.json"},
		{[]string{"--predictions=p", "--references=" + dir}, "no Parquet files"},
		{[]string{"--model=" + dir, "--data=" + dir}, "config.json"},
		{[]string{"--predictions=p", "--data=d", "--references=r"}, "--data"},
		{[]string{"--predictions=p", "--references=r", "--bootstrap=-1"}, "--bootstrap"},
		{[]string{"--predictions=p", "--references=r", "--spice_sample=-1"}, "--spice_sample"},
	}
	for _, tt := range tests {
		if _, err := evaluate1(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: error %v does not say %s", tt.args, err, tt.says)
		}
	}
}
