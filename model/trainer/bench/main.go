// Command bench takes a few training steps on one batch, in the order in which
// the trainer does what makes up a step, and prints what
// testdata/training_bench.py lays beside the reference: each step's loss and
// seconds and the peak of resident memory, as JSON.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/model/trainer/footprint"
)

var (
	folder  = flag.String("folder", "", "the model's folder, with pixels.f32 and tokens.json beside its files")
	steps   = flag.Int("steps", 3, "steps, the first of which is slower than the others")
	threads = flag.Int("threads", 2, "threads of one operation")
	plain   = flag.Bool("plain", false, "no gradient checkpointing")
)

type result struct {
	Losses  []float64 `json:"losses"`
	Seconds []float64 `json:"seconds"`
	Peak    int64     `json:"peak"` // bytes
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	r, err := run()
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		log.Fatal(err)
	}
}

func run() (result, error) {
	if err := torch.SetThreads(*threads); err != nil {
		return result{}, err
	}
	d, err := torch.Open("cpu")
	if err != nil {
		return result{}, err
	}
	m, batch, err := read(d)
	if err != nil {
		return result{}, err
	}
	defer m.Close()
	c := trainer.Defaults()
	c.GradientCheckpointing = !*plain
	opt, err := newOptimizer(m, c)
	if err != nil {
		return result{}, err
	}
	defer opt.Close()
	var r result
	for range *steps {
		begun := time.Now()
		loss, err := step(m, opt, batch, c)
		if err != nil {
			return result{}, err
		}
		r.Losses, r.Seconds = append(r.Losses, loss), append(r.Seconds, time.Since(begun).Seconds())
	}
	r.Peak = footprint.PeakMemory()
	return r, nil
}

func newOptimizer(m *blip.Model, c trainer.Config) (opt *trainer.AdamW, err error) {
	return opt, m.Device().Run(torch.Inference, func() error {
		for _, p := range m.Params() {
			p.Tensor.RequireGrad(torch.Collected)
		}
		opt = trainer.NewAdamW(m.Device(), m.Params(), c)
		return nil
	})
}

func step(m *blip.Model, opt *trainer.AdamW, b blip.Batch, c trainer.Config) (loss float64, err error) {
	err = m.Device().Run(torch.Training, func() error {
		loss, err = m.Learn(b, blip.Objective{Checkpointing: c.GradientCheckpointing})
		return err
	})
	if err != nil {
		return 0, err
	}
	return loss, m.Device().Run(torch.Inference, func() error {
		defer opt.ZeroGrad()
		opt.Clip(c.MaxGradNorm, 1)
		opt.Step(c.LearningRate)
		return nil
	})
}

func read(d *torch.Device) (*blip.Model, blip.Batch, error) {
	var b blip.Batch
	config, err := os.ReadFile(filepath.Join(*folder, "config.json"))
	if err != nil {
		return nil, b, err
	}
	c, err := blip.ParseConfig(config)
	if err != nil {
		return nil, b, err
	}
	tokens, err := os.ReadFile(filepath.Join(*folder, "tokens.json"))
	if err != nil {
		return nil, b, err
	}
	if err := json.Unmarshal(tokens, &b.Tokens); err != nil {
		return nil, b, fmt.Errorf("tokens.json: %w", err)
	}
	pixels, err := os.ReadFile(filepath.Join(*folder, "pixels.f32"))
	if err != nil {
		return nil, b, err
	}
	for p := range slices.Chunk(pixels, 4) {
		b.Pixels = append(b.Pixels, math.Float32frombits(binary.LittleEndian.Uint32(p)))
	}
	m, err := blip.Load(d, c, *folder)
	return m, b, err
}
