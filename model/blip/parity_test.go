package blip

import (
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/blipflow/blipflow/model/torch"
)

// Tolerances of float32 against float32: the two run the same sums in another
// order, through other kernels (fused attention here, three steps there).
const (
	relativeOutput   = 1e-4
	relativeLoss     = 1e-5
	relativeGradient = 1e-3
)

func TestForwardAndGradientsAgreeWithReference(t *testing.T) {
	files := []string{"tiny", "base"}
	if os.Getenv("BLIPFLOW_PARITY") != "" {
		files = append(files, "large")
	}
	for _, name := range files {
		if name != "tiny" && testing.Short() {
			continue
		}
		var cases []forwardCase
		golden(t, name, &cases)
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s/seed=%d", c.Kind, c.Seed), func(t *testing.T) { c.check(t) })
		}
	}
}

func (c forwardCase) check(t *testing.T) {
	noneLeft(t)
	config, err := ParseConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	d := cpu(t)
	m, err := build(d, config, hashedSource(d, c.Seed, c.Scale))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Size() != c.Parameters {
		t.Errorf("%d parameters, the reference has %d", m.Size(), c.Parameters)
	}
	err = d.Run(torch.Training, func() error {
		for _, p := range m.Params() {
			p.Tensor.RequireGrad(torch.Collected)
		}
		out, err := m.Forward(c.batch(config))
		if err != nil {
			return err
		}
		vision := c.Vision.deviation(c.Seed, "vision", out.Pictures.Float32s())
		logits := c.Logits.deviation(c.Seed, "logits", out.Logits.Float32s())
		loss := math.Abs(out.Loss.Float()-c.Loss) / c.Loss
		out.Loss.Backward()
		gradient, where := c.gradientDeviation(t, m)
		t.Logf("relative deviation: vision %.1e, logits %.1e, loss %.1e, gradient %.1e (%s)", vision, logits, loss, gradient, where)
		for _, v := range []struct {
			what     string
			got, max float64
		}{{"vision output", vision, relativeOutput}, {"logits", logits, relativeOutput}, {"loss", loss, relativeLoss}, {"gradient of " + where, gradient, relativeGradient}} {
			if !(v.got <= v.max) {
				t.Errorf("%s deviates by %.2e, allowed %.0e", v.what, v.got, v.max)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// gradientDeviation is the largest over all parameters of the difference of
// the gradient's norm, or of its product with a random vector of signs, from
// the reference's, over the reference's norm. A difference vector e shows in
// such a product as |e| on average, so that the projections stand for the
// whole gradient. A parameter whose true gradient is 0 (the bias of keys:
// softmax does not see it) holds only rounding; it is measured against the
// largest gradient in the model, of which a thousandth of a ten-thousandth is
// float32's epsilon.
func (c forwardCase) gradientDeviation(t *testing.T, m *Model) (worst float64, where string) {
	largest := 0.0
	for _, g := range c.Gradients {
		largest = math.Max(largest, g.Norm)
	}
	if len(m.Params()) != len(c.Gradients) {
		t.Errorf("%d parameters, the reference has %d", len(m.Params()), len(c.Gradients))
	}
	for _, p := range m.Params() {
		want, ok := c.Gradients[p.Name]
		if !ok {
			t.Errorf("%s: no such parameter in the reference", p.Name)
			continue
		}
		grad := p.Tensor.Grad()
		if grad == nil {
			t.Errorf("%s: no gradient", p.Name)
			continue
		}
		got := grad.Float32s()
		scale := math.Max(want.Norm, 1e-4*largest)
		square := 0.0
		for _, v := range got {
			square += float64(v) * float64(v)
		}
		off := math.Abs(math.Sqrt(square)-want.Norm) / scale
		for k, projection := range want.Projections {
			h, sum := newHashed(c.Seed, fmt.Sprintf("%s %d", p.Name, k)), 0.0
			for i, v := range got {
				if h.bits(i)>>63 != 0 {
					v = -v
				}
				sum += float64(v)
			}
			off = math.Max(off, math.Abs(sum-projection)/scale)
		}
		if off > worst {
			worst, where = off, p.Name
		}
	}
	return worst, where
}
