package lora

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

// golden is what testdata/lora.py wrote.
var golden = filepath.Join("..", "..", "testdata", "golden", "lora")

// close32 is how far float32 results of the two implementations may be apart,
// over the largest value: their sums run over up to a few hundred terms in
// another order, each good for 6e-8.
const close32 = 1e-5

func baseModel(t testing.TB) *blip.Model {
	t.Helper()
	return loadModel(t, filepath.Join(golden, "base"))
}

// loadModel reads weights of the base model's shape.
func loadModel(t testing.TB, weights string) *blip.Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(golden, "base", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := blip.ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	d, err := torch.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	m, err := blip.Load(d, c, weights)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// attach gives a model an adapter, which the test's end takes off.
func attach(t testing.TB, m *blip.Model, c Config, seed int64) *Adapter {
	t.Helper()
	a, err := Attach(m, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// attachStored gives a model the adapter of a folder.
func attachStored(t testing.TB, m *blip.Model, folder string) *Adapter {
	t.Helper()
	c, err := ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	a := attach(t, m, c, 1)
	if err := a.Load(folder); err != nil {
		t.Fatal(err)
	}
	return a
}

// noneLeft fails a test that leaves tensors behind. It is called before the
// models are made, so that its look at them comes after they are closed.
func noneLeft(t testing.TB) {
	t.Helper()
	before := torch.Live()
	t.Cleanup(func() {
		if now := torch.Live(); now != before {
			t.Errorf("%d tensors are still alive", now-before)
		}
	})
}

// expected are the tensors of a file in Go's types.
type expected struct{ *safetensors.File }

func readTensors(t testing.TB, path string) expected {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return expected{f}
}

func (e expected) tensor(t testing.TB, name string) safetensors.Tensor {
	t.Helper()
	found, ok := e.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	return found
}

func (e expected) floats(t testing.TB, name string) []float32 {
	t.Helper()
	return decode(t, e.tensor(t, name), func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
}

func (e expected) doubles(t testing.TB, name string) []float64 {
	t.Helper()
	return decode(t, e.tensor(t, name), func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
}

func (e expected) ints(t testing.TB, name string) []int64 {
	t.Helper()
	return decode(t, e.tensor(t, name), func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
}

func decode[T any](t testing.TB, from safetensors.Tensor, element func([]byte) T) []T {
	t.Helper()
	var out []T
	for chunk := range slices.Chunk(from.Data, from.DType.Bits()/8) {
		out = append(out, element(chunk))
	}
	return out
}

// batch is the n-th of the script's.
func (e expected) batch(t testing.TB, n string) blip.Batch {
	t.Helper()
	ids, lengths := e.ints(t, "ids."+n), e.ints(t, "lengths."+n)
	b := blip.Batch{Pixels: e.floats(t, "pixels."+n)}
	longest := len(ids) / len(lengths)
	for i, length := range lengths {
		var row []int32
		for _, id := range ids[i*longest:][:length] {
			row = append(row, int32(id))
		}
		b.Tokens = append(b.Tokens, row)
	}
	return b
}

// forward gives the logits of all tokens that are not padding, and the loss.
func forward(t testing.TB, m *blip.Model, mode torch.Mode, b blip.Batch) (logits []float32, loss float64) {
	t.Helper()
	err := m.Device().Run(mode, func() error {
		out, err := m.Forward(b)
		if err != nil {
			return err
		}
		loss = out.Loss.Float()
		logits = unpadded(out.Logits.Float32s(), b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return logits, loss
}

func unpadded(logits []float32, b blip.Batch) []float32 {
	longest := 0
	for _, row := range b.Tokens {
		longest = max(longest, len(row))
	}
	vocab := len(logits) / len(b.Tokens) / longest
	var out []float32
	for i, row := range b.Tokens {
		out = append(out, logits[i*longest*vocab:][:len(row)*vocab]...)
	}
	return out
}

// apart is the largest difference, over the largest value wanted.
func apart(t testing.TB, got, want []float32) float64 {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	worst, largest := 0.0, 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
		largest = max(largest, math.Abs(float64(want[i])))
	}
	return worst / largest
}

// values copies an adapter's matrices out, by name.
func values(t testing.TB, a *Adapter) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{}
	if err := a.device.Run(torch.Inference, func() error {
		for _, p := range a.Params() {
			out[p.Name] = p.Tensor.Float32s()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAgreesWithPEFT(t *testing.T) {
	for _, name := range []string{"attention", "dense"} {
		t.Run(name, func(t *testing.T) {
			noneLeft(t)
			want := readTensors(t, filepath.Join(golden, name, "expected.safetensors"))
			m := baseModel(t)
			batch := want.batch(t, "0")
			without, _ := forward(t, m, torch.Inference, batch)
			a := attachStored(t, m, filepath.Join(golden, name))

			logits, loss := forward(t, m, torch.Inference, batch)
			wanted := unpadded(want.floats(t, "logits"), batch)
			if d := apart(t, logits, wanted); d > close32 {
				t.Errorf("the logits are %g of the largest apart", d)
			}
			if apart(t, without, wanted) < 0.01 {
				t.Error("the adapter hardly matters: the comparison says nothing")
			}
			if w := float64(want.floats(t, "loss")[0]); math.Abs(loss-w) > close32*w {
				t.Errorf("the loss is %v, want %v", loss, w)
			}

			folder := t.TempDir()
			if err := m.Save(folder, nil); err != nil {
				t.Fatal(err)
			}
			compareMerged(t, folder, want)
			merged := loadModel(t, folder)
			if again, _ := forward(t, merged, torch.Inference, batch); apart(t, again, wanted) > close32 {
				t.Error("the merged model's logits are others")
			}

			a.Close()
			if after, _ := forward(t, m, torch.Inference, batch); !slices.Equal(after, without) {
				t.Error("the model is not what it was before the adapter")
			}
		})
	}
}

// compareMerged compares a saved model with PEFT's matrices, and with the base
// model where there are none.
func compareMerged(t *testing.T, folder string, want expected) {
	t.Helper()
	got := readTensors(t, filepath.Join(folder, safetensors.SingleName))
	base := readTensors(t, filepath.Join(golden, "base", safetensors.SingleName))
	touched := 0
	for _, name := range got.Names() {
		if _, ok := want.Tensor("merged." + name); ok {
			touched++
			if d := apart(t, got.floats(t, name), want.floats(t, "merged."+name)); d > 1e-6 {
				t.Errorf("merged %s is %g of its largest value apart", name, d)
			}
		} else if !slices.Equal(got.tensor(t, name).Data, base.tensor(t, name).Data) {
			t.Errorf("%s, which has no update, was changed", name)
		}
	}
	all := 0
	for _, name := range want.Names() {
		if strings.HasPrefix(name, "merged.") {
			all++
		}
	}
	if touched != all {
		t.Errorf("%d matrices are merged, want %d", touched, all)
	}
}

// A few steps of AdamW move the adapter as they move PEFT's. AdamW divides by
// the gradient's own size, so that rounding moves an element whose gradient is
// next to nothing by up to a step of 0.01 at will; the tolerance of a hundredth of
// a step is for these.
func TestTrainsAsPEFT(t *testing.T) {
	noneLeft(t)
	folder := filepath.Join(golden, "attention")
	want := readTensors(t, filepath.Join(folder, "expected.safetensors"))
	o := want.doubles(t, "optimizer")
	settings := torch.AdamW{Rate: o[0], Beta1: o[1], Beta2: o[2], Eps: o[3], Decay: o[4]}
	for _, checkpointing := range []bool{false, true} {
		m := baseModel(t)
		a := attachStored(t, m, folder)
		losses := train(t, m, a, []blip.Batch{want.batch(t, "0"), want.batch(t, "1")}, settings,
			len(want.doubles(t, "losses")), blip.Objective{Checkpointing: checkpointing})
		for i, w := range want.doubles(t, "losses") {
			if math.Abs(losses[i]-w) > close32*w {
				t.Errorf("checkpointing %v: the loss of step %d is %v, want %v", checkpointing, i, losses[i], w)
			}
		}
		for name, got := range values(t, a) {
			w := want.floats(t, "trained."+prefix+name)
			for i := range w {
				if math.Abs(float64(got[i]-w[i])) > settings.Rate/100 {
					t.Errorf("checkpointing %v: %s[%d] is %v, want %v", checkpointing, name, i, got[i], w[i])
				}
			}
		}
		m.Close()
	}
}

// train makes steps of AdamW over the batches, and gives each one's loss.
func train(t testing.TB, m *blip.Model, a *Adapter, batches []blip.Batch, settings torch.AdamW, steps int, o blip.Objective) (losses []float64) {
	t.Helper()
	var params, means, squares []*torch.Tensor
	err := m.Device().Run(torch.Training, func() error {
		for _, p := range a.Params() {
			params = append(params, p.Tensor)
			means = append(means, m.Device().Zeros(torch.Float32, p.Tensor.Shape()...))
			squares = append(squares, m.Device().Zeros(torch.Float32, p.Tensor.Shape()...))
		}
		collect(a)
		for i := range steps {
			loss, err := m.Learn(batches[i%len(batches)], o)
			if err != nil {
				return err
			}
			losses = append(losses, loss)
			var grads []*torch.Tensor
			for _, p := range params {
				grads = append(grads, p.Grad())
			}
			settings.Step = i + 1
			m.Device().Without(func() { torch.FusedAdamW(params, grads, means, squares, settings) })
			for _, p := range params {
				p.ZeroGrad()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return losses
}

// collect makes the adapter learn, inside a Run.
func collect(a *Adapter) {
	for _, p := range a.Params() {
		p.Tensor.RequireGrad(torch.Collected)
	}
}
