package blip

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/blipflow/blipflow/model/torch"
)

// learnModel is a small model with dropout in every place that has one.
func learnModel(t testing.TB, dropout float64) (*Model, Batch) {
	t.Helper()
	var cases []forwardCase
	golden(t, "tiny", &cases)
	c := cases[2]
	config, err := ParseConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	config.Vision.AttentionDropout, config.Text.AttentionDropout, config.Text.HiddenDropout = dropout, dropout, dropout
	m, err := build(cpu(t), config, hashedSource(cpu(t), c.Seed, c.Scale))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	b := c.batch(config)
	b.Prompt = make([]int, len(b.Tokens))
	b.Prompt[0] = 1
	return m, b
}

// collect makes the parameters that are chosen collect gradients.
func collect(t testing.TB, m *Model, chosen func(name string) bool) {
	t.Helper()
	if err := m.device.Run(torch.Inference, func() error {
		for _, p := range m.params {
			p.Tensor.RequireGrad(torch.Gradient(chosen(p.Name)))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func all(string) bool { return true }

// learn gives the loss, the gradients by name, and the generator's next number
// after a step, and forgets the gradients.
func learn(t testing.TB, m *Model, fn func() (float64, error)) (loss float64, gradients map[string][]float32, drawn float32) {
	t.Helper()
	if err := torch.Seed(7); err != nil {
		t.Fatal(err)
	}
	gradients = map[string][]float32{}
	err := m.device.Run(torch.Training, func() (err error) {
		if loss, err = fn(); err != nil {
			return err
		}
		for _, p := range m.params {
			if g := p.Tensor.Grad(); g != nil {
				gradients[p.Name] = g.Float32s()
			}
			p.Tensor.ZeroGrad()
		}
		x := m.device.Zeros(torch.Float32, 1)
		x.Uniform_(0, 1)
		drawn = x.Float32s()[0]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return loss, gradients, drawn
}

// apart is the largest distance between two gradients of a parameter, over the
// largest value of any gradient.
func apart(t testing.TB, a, b map[string][]float32) (worst float64) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d and %d gradients", len(a), len(b))
	}
	largest := 0.0
	for name, x := range a {
		y, ok := b[name]
		if !ok {
			t.Fatalf("%s has a gradient in one way only", name)
		}
		for i := range x {
			largest = math.Max(largest, math.Abs(float64(x[i])))
			worst = math.Max(worst, math.Abs(float64(x[i]-y[i])))
		}
	}
	return worst / largest
}

// ways are those to learn: without checkpointing, with it where all layers have
// room, with the room that gradients leave, and with none.
func ways(m *Model) map[string]func(Batch, Objective) (float64, error) {
	with := func(checkpointing bool, spare int64) func(Batch, Objective) (float64, error) {
		return func(b Batch, o Objective) (float64, error) {
			o.Checkpointing = checkpointing
			return m.learn(b, o, spare)
		}
	}
	return map[string]func(Batch, Objective) (float64, error){
		"plain": with(false, 0), "spare": m.checkpointed, "some": with(true, 0), "none": with(true, math.MinInt32),
	}
}

func (m *Model) checkpointed(b Batch, o Objective) (float64, error) {
	o.Checkpointing = true
	return m.Learn(b, o)
}

// float32's epsilon is 1.2e-7; the ways below add up the same numbers in
// another order.
const sameGradient = 2e-6

// What Forward and the backward pass of its loss give is what Learn gives, with
// and without checkpointing, and with dropout drawn by both.
func TestLearnGivesTheGradientOfForward(t *testing.T) {
	noneLeft(t)
	for _, dropout := range []float64{0, 0.2} {
		m, b := learnModel(t, dropout)
		collect(t, m, all)
		wantLoss, want, drawn := learn(t, m, func() (float64, error) {
			out, err := m.Forward(b)
			if err != nil {
				return 0, err
			}
			out.Loss.Backward()
			return out.Loss.Float(), nil
		})
		for name, fn := range ways(m) {
			t.Run(fmt.Sprintf("dropout=%v/%s", dropout, name), func(t *testing.T) {
				loss, got, next := learn(t, m, func() (float64, error) { return fn(b, Objective{}) })
				if d := math.Abs(loss - wantLoss); d > 1e-6*wantLoss {
					t.Errorf("loss is %v, want %v", loss, wantLoss)
				}
				if d := apart(t, want, got); !(d <= sameGradient) {
					t.Errorf("gradients differ by %.1e", d)
				}
				if next != drawn {
					t.Errorf("the generator goes on with %v, want %v", next, drawn)
				}
			})
		}
	}
}

// The parts of a batch, each with its share, add up to the batch.
func TestLearnAccumulates(t *testing.T) {
	noneLeft(t)
	m, b := learnModel(t, 0)
	collect(t, m, all)
	wantLoss, want, _ := learn(t, m, func() (float64, error) { return m.Learn(b, Objective{Scale: 4}) })
	side := len(b.Pixels) / len(b.Tokens)
	loss, got, _ := learn(t, m, func() (loss float64, err error) {
		for i := range b.Tokens {
			part := Batch{Pixels: b.Pixels[i*side:][:side], Tokens: b.Tokens[i : i+1], Prompt: b.Prompt[i : i+1]}
			l, err := m.learn(part, Objective{Divisor: float64(b.Labels()), Scale: 4, Checkpointing: true}, 0)
			if err != nil {
				return 0, err
			}
			loss += l
		}
		return loss, nil
	})
	if math.Abs(loss-wantLoss) > 1e-6*wantLoss {
		t.Errorf("loss is %v, want %v", loss, wantLoss)
	}
	if d := apart(t, want, got); !(d <= sameGradient) {
		t.Errorf("gradients differ by %.1e", d)
	}
}

// Wherever the learned parameters are, they and only they get their gradient.
func TestLearnOfAPart(t *testing.T) {
	noneLeft(t)
	m, b := learnModel(t, 0.1)
	collect(t, m, all)
	_, whole, _ := learn(t, m, func() (float64, error) { return m.Learn(b, Objective{}) })
	for _, c := range []struct {
		name   string
		chosen func(string) bool
		frozen bool
	}{
		{"text", func(n string) bool { return n[:5] == "text_" }, false},
		{"frozen", all, true},
		{"vision", func(n string) bool { return n[:5] == "visio" }, false},
		{"last vision layer", func(n string) bool { return n == "vision_model.encoder.layers.1.self_attn.qkv.weight" }, false},
		{"last text layer", func(n string) bool { return n == "text_decoder.bert.encoder.layer.1.attention.self.query.weight" }, false},
	} {
		for name, fn := range ways(m) {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				collect(t, m, c.chosen)
				_, got, _ := learn(t, m, func() (float64, error) { return fn(b, Objective{FrozenVision: c.frozen}) })
				want := map[string][]float32{}
				for name, g := range whole {
					if c.chosen(name) && !(c.frozen && name[:5] == "visio") {
						want[name] = g
					}
				}
				if d := apart(t, want, got); !(d <= sameGradient) || len(want) == 0 {
					t.Errorf("%d gradients differ by %.1e", len(want), d)
				}
			})
		}
	}
}

// Label smoothing is that of the objective, or else the configuration's.
func TestLearnSmooths(t *testing.T) {
	m, b := learnModel(t, 0)
	collect(t, m, all)
	smooth := 0.3
	loss, _, _ := learn(t, m, func() (float64, error) { return m.Learn(b, Objective{Smoothing: &smooth}) })
	m.Config.Text.LabelSmoothing = smooth
	want, _, _ := learn(t, m, func() (float64, error) {
		out, err := m.Forward(b)
		return out.Loss.Float(), err
	})
	if math.Abs(loss-want) > 1e-6*want {
		t.Errorf("loss is %v, want %v", loss, want)
	}
}

// Half the precision of bfloat16's 8 bits is 0.4 %, float16's 0.05 %; sums over
// a small model's widths keep to a few times that.
func TestLearnInLowPrecision(t *testing.T) {
	noneLeft(t)
	m, b := learnModel(t, 0.1)
	collect(t, m, all)
	_, want, _ := learn(t, m, func() (float64, error) { return m.Learn(b, Objective{}) })
	for _, c := range []struct {
		dtype torch.DType
		most  float64
	}{{torch.BFloat16, 0.05}, {torch.Float16, 0.01}} {
		if err := m.device.CheckPrecision(c.dtype); err != nil {
			t.Log(err)
			continue
		}
		var first map[string][]float32
		for name, fn := range ways(m) {
			_, got, _ := learn(t, m, func() (float64, error) { return fn(b, Objective{Autocast: c.dtype}) })
			d := apart(t, want, got)
			t.Logf("%v, %s: gradients differ by %.1e from float32's", c.dtype, name, d)
			if !(d <= c.most) || d == 0 {
				t.Errorf("%v, %s: gradients differ by %.1e from float32's", c.dtype, name, d)
			}
			if first == nil {
				first = got
			} else if d := apart(t, first, got); !(d <= sameGradient) {
				t.Errorf("%v: gradients differ by %.1e between ways", c.dtype, d)
			}
		}
	}
}

func TestLearnRefusesWhatDoesNotFit(t *testing.T) {
	noneLeft(t)
	m, b := learnModel(t, 0)
	collect(t, m, all)
	for name, bad := range map[string]Batch{
		"pixels":  {Pixels: b.Pixels[1:], Tokens: b.Tokens},
		"token":   {Pixels: b.Pixels, Tokens: append(slices.Clone(b.Tokens[1:]), []int32{1, 1 << 30})},
		"short":   {Pixels: b.Pixels, Tokens: append(slices.Clone(b.Tokens[1:]), []int32{1})},
		"nothing": {},
	} {
		err := m.device.Run(torch.Training, func() error { _, err := m.Learn(bad, Objective{}); return err })
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
