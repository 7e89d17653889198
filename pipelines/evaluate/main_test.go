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

// evaluate1 does what the command does with args.
func evaluate1(t *testing.T, args ...string) (string, error) {
	t.Helper()
	set := flag.NewFlagSet("evaluate", flag.ContinueOnError)
	c, err := program().Parse(set, args, io.Discard)
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
	}
	for _, tt := range tests {
		if _, err := evaluate1(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: error %v does not say %s", tt.args, err, tt.says)
		}
	}
}
