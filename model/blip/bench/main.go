// Bench trains a model for a few steps on one batch, as the trainer does, and
// prints what testdata/training_bench.py compares with the reference: the loss
// and the seconds of each step and the peak of resident memory, as JSON.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/torch"
)

var (
	folder  = flag.String("folder", "", "the model's folder, with pixels.f32 and tokens.json beside its files")
	steps   = flag.Int("steps", 3, "steps, the first of which is slower than the others")
	threads = flag.Int("threads", 2, "threads of one operation")
	plain   = flag.Bool("plain", false, "no gradient checkpointing")
	rate    = flag.Float64("learning_rate", 5e-5, "")
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
	if err := torch.Seed(42); err != nil {
		return result{}, err
	}
	o := newOptimizer(m)
	var r result
	for range *steps {
		begun := time.Now()
		loss, err := o.step(batch)
		if err != nil {
			return result{}, err
		}
		r.Losses, r.Seconds = append(r.Losses, loss), append(r.Seconds, time.Since(begun).Seconds())
	}
	r.Peak, err = peak()
	return r, err
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

// optimizer is AdamW over all parameters.
type optimizer struct {
	model          *blip.Model
	params         []*torch.Tensor
	means, squares []*torch.Tensor
	settings       torch.AdamW
}

func newOptimizer(m *blip.Model) *optimizer {
	o := &optimizer{model: m, settings: torch.AdamW{Rate: *rate, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}}
	_ = m.Device().Run(torch.Inference, func() error {
		for _, p := range m.Params() {
			p.Tensor.RequireGrad(torch.Collected)
			o.params = append(o.params, p.Tensor)
			o.means = append(o.means, m.Device().Zeros(torch.Float32, p.Tensor.Shape()...).Keep())
			o.squares = append(o.squares, m.Device().Zeros(torch.Float32, p.Tensor.Shape()...).Keep())
		}
		return nil
	})
	return o
}

func (o *optimizer) step(b blip.Batch) (loss float64, err error) {
	err = o.model.Device().Run(torch.Training, func() error {
		loss, err = o.model.Learn(b, blip.Objective{Checkpointing: !*plain})
		if err != nil {
			return err
		}
		o.model.Device().Without(o.move)
		return nil
	})
	return loss, err
}

func (o *optimizer) move() {
	var grads []*torch.Tensor
	for _, p := range o.params {
		grads = append(grads, p.Grad())
	}
	torch.ClipGradNorm(grads, 1)
	o.settings.Step++
	torch.FusedAdamW(o.params, grads, o.means, o.squares, o.settings)
	for _, p := range o.params {
		p.ZeroGrad()
	}
}

// peak is the most memory that was ever resident, in bytes.
func peak() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
