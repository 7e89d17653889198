package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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

// stepper takes pictures through the steps.
type stepper struct {
	clock
	folder    string
	processor *imaging.Processor
	words     *preprocess.Text
	tokenizer *text.Tokenizer
	out       *records.Writer
	file      bytes.Buffer
}

func newStepper(folder, model string) (*stepper, error) {
	s := &stepper{folder: folder, clock: clock{spent: map[string]time.Duration{}}}
	var err error
	if s.processor, s.words, err = preprocess.FromModel(model, 40); err != nil {
		return nil, err
	}
	if s.tokenizer, err = text.New(s.words.Tokens, s.words.Options); err != nil {
		return nil, err
	}
	s.out, err = records.NewWriter(io.Discard, records.Meta{}, records.WriterOptions{})
	return s, err
}

func (s *stepper) picture(ref *dataset.Ref) error {
	s.start()
	f, err := os.Open(filepath.Join(s.folder, ref.URI))
	if err != nil {
		return err
	}
	s.file.Reset()
	_, err = s.file.ReadFrom(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	sum := sha256.Sum256(s.file.Bytes())
	s.lap("read+hash")
	picture, _, err := imaging.Decode(s.file.Bytes(), imaging.DecodeOptions{})
	if err != nil {
		return err
	}
	s.lap("decode")
	imaging.PerceptualHash(picture)
	s.lap("look")
	small := s.processor.Apply(picture)
	if small != picture {
		imaging.Recycle(picture.Pix)
	}
	s.lap("resize")
	row := records.Example{
		ImageID: ref.ImageID, URI: ref.URI, Split: dataset.Train, ContentHash: hex.EncodeToString(sum[:]),
		Width: picture.W, Height: picture.H, PixelWidth: small.W, PixelHeight: small.H, Pixels: small.Pix,
		Captions: ref.Captions,
	}
	for _, caption := range ref.Captions {
		row.TokenIDs = append(row.TokenIDs, s.tokenizer.EncodeWithSpecials(caption, s.words.MaxLength))
	}
	s.lap("tokenise")
	err = s.out.Write(&row)
	imaging.Recycle(small.Pix)
	s.lap("parquet")
	return err
}

// BenchmarkSteps takes pictures through the steps of preprocessing, one after
// the other on one core, and reports how long each step takes a picture.
func BenchmarkSteps(b *testing.B) {
	folder, model := os.Getenv(benchDataset), os.Getenv(benchModel)
	if folder == "" || model == "" {
		b.Skip("testdata/preprocess_bench.py runs this")
	}
	set, err := dataset.Load(folder, dataset.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := newStepper(folder, model)
	if err != nil {
		b.Fatal(err)
	}
	pictures := 0
	for b.Loop() {
		if err := s.picture(&set.Refs[pictures%len(set.Refs)]); err != nil {
			b.Fatal(err)
		}
		pictures++
	}
	s.start()
	if err := s.out.Close(); err != nil {
		b.Fatal(err)
	}
	s.lap("parquet")
	for step, spent := range s.spent {
		b.ReportMetric(spent.Seconds()*1e3/float64(pictures), step+"-ms/picture")
	}
	b.ReportMetric(0, "ns/op") // the steps say more
}
