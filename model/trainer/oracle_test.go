package trainer

import (
	"bytes"
	"compress/gzip"
	"crypto/sha3"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/torch"
	"github.com/blipflow/blipflow/transforms/imaging"
	"github.com/blipflow/blipflow/transforms/text"
)

// oracle is what testdata/training.py recorded of transformers' own Trainer.
type oracle struct {
	Config   json.RawMessage
	Decayed  []string // parameters with weight decay
	Examples int
	Batch    int
	Cases    []oracleCase
}

type oracleCase struct {
	Name     string
	Settings json.RawMessage // over Defaults
	// Losses, Rates and Norms, before clipping, are of each step.
	Losses, Rates, Norms []float64
	Weights              map[string]struct { // after the last step
		Norm        float64
		Projections []float64 // products with random signs
	}
}

func readOracle(t *testing.T) (o oracle) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "golden", "training", "training.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// drawn is the generator that the script takes weights, pictures and captions
// from: 32 bits of SHAKE128 for each of n places.
func drawn(name string, n int) []uint32 {
	h := sha3.NewSHAKE128()
	h.Write([]byte(name)) // never fails, nor does Read
	data := make([]byte, 4*n)
	h.Read(data)
	out := make([]uint32, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	return out
}

// uniform is in [−scale, scale).
func uniform(name string, scale float32, n int) []float32 {
	out := make([]float32, n)
	for i, bits := range drawn(name, n) {
		out[i] = float32(int64(bits>>8)-1<<23) / (1 << 23) * scale
	}
	return out
}

// inOrder is a data set whose epochs are all alike.
type inOrder []blip.Batch

func (b inOrder) Len() int { return len(b) }

func (b inOrder) Batches(_, skip int) iter.Seq2[blip.Batch, error] {
	return func(yield func(blip.Batch, error) bool) {
		for _, batch := range b[skip:] {
			if !yield(batch, nil) {
				return
			}
		}
	}
}

// data is the reference's examples in its batches.
func (o oracle) data(c blip.Config) (out inOrder) {
	pixels := int(3 * c.Vision.ImageSize * c.Vision.ImageSize)
	for i := range o.Examples {
		if i%o.Batch == 0 {
			out = append(out, blip.Batch{})
		}
		b := &out[len(out)-1]
		n := 3 + 5*(i/o.Batch%3) + int(drawn(fmt.Sprintf("length %d", i), 1)[0]%4)
		caption := make([]int32, n)
		for j, bits := range drawn(fmt.Sprintf("ids %d", i), n) {
			caption[j] = int32(int64(bits) % c.Text.VocabSize)
		}
		caption[0], caption[n-1] = int32(c.Text.BOSTokenID), int32(c.Text.SepTokenID)
		prompt := 0
		if i%5 == 2 && n > 3 {
			prompt = 1
		}
		b.Pixels = append(b.Pixels, uniform(fmt.Sprintf("pixels %d", i), 2, pixels)...)
		b.Tokens, b.Prompt = append(b.Tokens, caption), append(b.Prompt, prompt)
	}
	return out
}

// base is a model folder with the weights that the reference starts from.
func (o oracle) base(t *testing.T, d *torch.Device) *checkpoint.Folder {
	t.Helper()
	c, err := blip.ParseConfig(o.Config)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := text.New([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}, text.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := blip.New(d, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := d.Run(torch.Inference, func() error {
		for _, p := range m.Params() {
			values := uniform(p.Name, 0.1, len(p.Tensor.Float32s()))
			if strings.Contains(strings.ToLower(p.Name), "norm") && strings.HasSuffix(p.Name, "weight") {
				for i := range values {
					values[i]++
				}
			}
			p.Tensor.Copy_(d.Floats(values, p.Tensor.Shape()...))
			if slices.Contains(o.Decayed, p.Name) != p.Decay {
				t.Errorf("%s decays: %v, not so in the reference", p.Name, p.Decay)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "base")
	f := &checkpoint.Folder{Config: c, Processor: imaging.DefaultProcessor(int(c.Vision.ImageSize)), Tokenizer: tok}
	if err := f.Save(path, m, ""); err != nil {
		t.Fatal(err)
	}
	if f, err = checkpoint.Open(path); err != nil {
		t.Fatal(err)
	}
	return f
}

func (c oracleCase) config(t *testing.T) Config {
	t.Helper()
	config := Defaults()
	in := json.NewDecoder(bytes.NewReader(c.Settings))
	in.DisallowUnknownFields()
	if err := in.Decode(&config); err != nil {
		t.Fatal(err)
	}
	config.LoggingSteps, config.EvalStrategy, config.SaveStrategy = 1, Never, Never
	return config
}

// A run's losses and weights are those of transformers' Trainer. With -v the
// curves are printed side by side.
func TestTrainsAsTheReference(t *testing.T) {
	o := readOracle(t)
	d, err := torch.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	oneThread(t)
	base := o.base(t, d)
	for i, c := range o.Cases {
		t.Run(c.Name, func(t *testing.T) {
			if testing.Short() && i > 0 {
				t.Skip("one case is enough")
			}
			r := &Run{Config: c.config(t), Folder: base, Device: d, Output: filepath.Join(t.TempDir(), "run"), Data: o.data(base.Config)}
			s, folder := train(t, r)
			c.checkLog(t, s.LogHistory)
			c.checkWeights(t, d, folder)
		})
	}
}

// oneThread keeps libtorch to one thread for a test of tiny products, which more
// threads only slow down.
func oneThread(t *testing.T) {
	t.Helper()
	before := torch.Threads()
	if err := torch.SetThreads(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := torch.SetThreads(before); err != nil {
			t.Error(err)
		}
	})
}

// checkLog allows float32's rounding to grow over the steps: losses and norms
// are some units of 1, of which the epsilon is 1.2e-7, and were found within
// 1.2e-6. Rates are float64 in both, computed in another order.
func (c oracleCase) checkLog(t *testing.T, log []Record) {
	t.Helper()
	if len(log) != len(c.Losses) {
		t.Fatalf("%d steps, the reference makes %d", len(log), len(c.Losses))
	}
	var loss, norm, rate float64
	for i, r := range log {
		loss = max(loss, math.Abs(*r.Loss-c.Losses[i]))
		norm = max(norm, math.Abs(*r.GradNorm/c.Norms[i]-1))
		if *r.LearningRate != c.Rates[i] { // both may be 0
			rate = max(rate, math.Abs(*r.LearningRate/c.Rates[i]-1))
		}
		if i%10 == 9 || i == 0 {
			t.Logf("step %3d: loss %.6f, reference %.6f; gradient %.5f, %.5f; rate %.6e, %.6e",
				r.Step, *r.Loss, c.Losses[i], *r.GradNorm, c.Norms[i], *r.LearningRate, c.Rates[i])
		}
	}
	for _, v := range []struct {
		what       string
		off, allow float64
	}{{"losses", loss, 1e-4}, {"relative norms of the gradient", norm, 1e-4}, {"relative learning rates", rate, 1e-12}} {
		t.Logf("%s within %.1e", v.what, v.off)
		if !(v.off <= v.allow) {
			t.Errorf("%s deviate by %.1e, allowed %.0e", v.what, v.off, v.allow)
		}
	}
}

// checkWeights compares each tensor w of a checkpoint with the reference's v:
// |w−v| / |v|, in the Euclidean norm, which no single element's difference
// exceeds. |w−v| is estimated by the root mean square of its products with
// random signs.
//
// The biases of keys are apart. Softmax does not see them, so that their
// gradient is nothing but rounding, and Adam divides rounding by rounding: they
// wander by a part of the learning rate, in both, and change nothing. They were
// found within 9e-4 and other tensors within 1.2e-6.
func (c oracleCase) checkWeights(t *testing.T, d *torch.Device, folder string) {
	t.Helper()
	got := c.distances(t, d, folder)
	if len(got) != len(c.Weights) {
		t.Errorf("%d tensors, the reference has %d", len(got), len(c.Weights))
	}
	var worst, worstKeys, square, all float64
	for name, off := range got {
		want := c.Weights[name].Norm
		square, all = square+off*off, all+want*want
		allow := 1e-4
		if strings.HasSuffix(name, "key.bias") || strings.HasSuffix(name, "qkv.bias/key") {
			worstKeys, allow = max(worstKeys, off/want), 1e-2
		} else {
			worst = max(worst, off/want)
		}
		if !(off/want <= allow) {
			t.Errorf("%s deviates by %.1e of its norm, allowed %.0e", name, off/want, allow)
		}
	}
	together := math.Sqrt(square / all)
	t.Logf("weights within %.1e, biases of keys within %.1e; all together within %.1e", worst, worstKeys, together)
	if !(together <= 1e-4) {
		t.Errorf("the weights deviate by %.1e of their norm, allowed 1e-4", together)
	}
}

// distances estimates how far a checkpoint's tensors are from the reference's.
func (c oracleCase) distances(t *testing.T, d *torch.Device, folder string) map[string]float64 {
	t.Helper()
	f, err := checkpoint.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Load(d)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out := map[string]float64{}
	if err := d.Run(torch.Inference, func() error {
		for _, p := range m.Params() {
			for name, values := range parts(p.Name, p.Tensor.Float32s()) {
				square := 0.0
				for k, want := range c.Weights[name].Projections {
					for i, bits := range drawn(fmt.Sprintf("%s %d", name, k), len(values)) {
						want -= float64(values[i]) * (1 - 2*float64(bits>>31))
					}
					square += want * want
				}
				out[name] = math.Sqrt(square / float64(len(c.Weights[name].Projections)))
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// parts are a tensor by its name, or the three biases of a fused projection.
func parts(name string, values []float32) map[string][]float32 {
	if !strings.HasSuffix(name, ".qkv.bias") {
		return map[string][]float32{name: values}
	}
	n := len(values) / 3
	return map[string][]float32{name + "/query": values[:n], name + "/key": values[n : 2*n], name + "/value": values[2*n:]}
}
