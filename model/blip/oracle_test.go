package blip

import (
	"compress/gzip"
	"encoding/json"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/torch"
)

// hashed is the generator that testdata/blip.py draws weights, pixels and
// tokens from: splitmix64 on a stream of its own for each name.
type hashed struct{ start uint64 }

func newHashed(seed uint64, name string) hashed {
	h := fnv.New64a()
	h.Write([]byte(name))
	return hashed{h.Sum64() ^ seed*0x9E3779B97F4A7C15}
}

func (h hashed) bits(i int) uint64 {
	z := h.start + uint64(i+1)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// uniform is in [−1, 1), exact in float32.
func (h hashed) uniform(i int) float32 {
	return float32(int64(h.bits(i)>>40)-1<<23) / (1 << 23)
}

func (h hashed) floats(n int, scale float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = h.uniform(i) * scale
	}
	return out
}

// hashedSource fills a model as the script fills the reference's.
func hashedSource(d *torch.Device, seed uint64, scale float32) nn.Source {
	return func(name string, shape []int64, init nn.Init) (*torch.Tensor, error) {
		if init == nil {
			return nil, nil
		}
		n := 1
		for _, s := range shape {
			n *= int(s)
		}
		values := newHashed(seed, name).floats(n, scale)
		if strings.Contains(strings.ToLower(name), "norm") && strings.HasSuffix(name, "weight") {
			for i := range values {
				values[i]++
			}
		}
		return d.Floats(values, shape...), nil
	}
}

func golden(t testing.TB, name string, into any) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "golden", "blip", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func cpu(t testing.TB) *torch.Device {
	t.Helper()
	d, err := torch.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// noneLeft fails a test that leaves tensors behind.
func noneLeft(t testing.TB) {
	t.Helper()
	before := torch.Live()
	t.Cleanup(func() {
		if now := torch.Live(); now != before {
			t.Errorf("%d tensors are still alive", now-before)
		}
	})
}

type forwardCase struct {
	Config    json.RawMessage
	Kind      string
	Seed      uint64
	Scale     float32
	Lengths   []int
	Loss      float64
	Vision    samples
	Logits    samples
	Gradients map[string]struct {
		Norm        float64
		Projections []float64
	}
	Parameters int64
}

type samples struct {
	Values  []float64
	Largest float64
}

// deviation is the largest difference from the reference, over its largest
// value.
func (s samples) deviation(seed uint64, name string, got []float32) float64 {
	where := newHashed(seed, "where "+name)
	worst := 0.0
	for i, want := range s.Values {
		at := where.bits(i) % uint64(len(got))
		worst = math.Max(worst, math.Abs(float64(got[at])-want))
	}
	return worst / s.Largest
}

func (c forwardCase) batch(config Config) Batch {
	side := int(config.Vision.ImageSize)
	b := Batch{Pixels: newHashed(c.Seed, "pixels").floats(len(c.Lengths)*3*side*side, 2)}
	for i, n := range c.Lengths {
		row, h := make([]int32, n), newHashed(c.Seed, "ids"+string(rune('0'+i)))
		for j := range row {
			row[j] = int32(h.bits(j) % uint64(config.Text.VocabSize))
		}
		row[0], row[n-1] = int32(config.Text.BOSTokenID), int32(config.Text.SepTokenID)
		b.Tokens = append(b.Tokens, row)
	}
	return b
}
