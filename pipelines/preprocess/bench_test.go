package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/blipflow/blipflow/stages/dataset"
	"github.com/blipflow/blipflow/stages/preprocess"
	"github.com/blipflow/blipflow/stages/records"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// benchFolders are set by testdata/preprocess_bench.py: a data set of
// photographs and a model.
const (
	benchDataset = "BLIPFLOW_BENCH_DATASET"
	benchModel   = "BLIPFLOW_BENCH_MODEL"
)

// clock adds up the time of named steps.
type clock struct {
	last  time.Time
	spent map[string]time.Duration
}

func (c *clock) start() { c.last = time.Now() }

func (c *clock) lap(step string) {
	now := time.Now()
	c.spent[step] += now.Sub(c.last)
	c.last = now
}

// BenchmarkSteps takes pictures through the steps of preprocessing, one after
// the other on one core, and reports how long each step takes a picture.
func BenchmarkSteps(b *testing.B) {
	folder, model := os.Getenv(benchDataset), os.Getenv(benchModel)
	if folder == "" || model == "" {
		b.Skip("testdata/preprocess_bench.py runs this")
	}
	set, err := dataset.Load(folder)
	if err != nil {
		b.Fatal(err)
	}
	processor, words, err := preprocess.FromModel(model, 40)
	if err != nil {
		b.Fatal(err)
	}
	tokenizer, err := text.New(words.Tokens, words.Options)
	if err != nil {
		b.Fatal(err)
	}
	settings, err := json.Marshal(processor)
	if err != nil {
		b.Fatal(err)
	}
	out, err := records.NewWriter(io.Discard, records.Meta{Processor: string(settings)}, records.WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	c := &clock{spent: map[string]time.Duration{}}
	var file bytes.Buffer
	pictures := 0
	for b.Loop() {
		ref := set.Refs[pictures%len(set.Refs)]
		pictures++
		c.start()
		file.Reset()
		f, err := os.Open(filepath.Join(folder, ref.URI))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := file.ReadFrom(f); err != nil {
			b.Fatal(err)
		}
		f.Close()
		c.lap("read")
		picture, _, err := imaging.Decode(file.Bytes(), imaging.DecodeOptions{})
		if err != nil {
			b.Fatal(err)
		}
		row := records.Example{ImageID: ref.ImageID, URI: ref.URI, Split: "train", Width: picture.W, Height: picture.H}
		c.lap("decode")
		picture = processor.Apply(picture)
		row.PixelWidth, row.PixelHeight, row.Pixels = picture.W, picture.H, picture.Pix
		c.lap("resize")
		for _, caption := range ref.Captions {
			row.Captions = append(row.Captions, caption)
			row.TokenIDs = append(row.TokenIDs, tokenizer.EncodeWithSpecials(caption, words.MaxLength))
		}
		c.lap("tokenise")
		if err := out.Write(&row); err != nil {
			b.Fatal(err)
		}
		c.lap("parquet")
	}
	c.start()
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	c.lap("parquet")
	for step, spent := range c.spent {
		b.ReportMetric(spent.Seconds()*1e3/float64(pictures), step+"-ms/picture")
	}
	b.ReportMetric(0, "ns/op") // the steps say more
}
