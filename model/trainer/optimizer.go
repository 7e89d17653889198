package trainer

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"

	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

// AdamW is Adam with decoupled weight decay (Loshchilov & Hutter,
// arXiv 1711.05101), in the order of operations of torch.optim.AdamW. Its
// methods, but for Close, run inside a Run of the parameters' device.
type AdamW struct {
	Beta1, Beta2, Eps, WeightDecay float64

	params []*nn.Param
	mean   []*torch.Tensor // running mean of the gradient
	square []*torch.Tensor // and of its square
	steps  int
}

// NewAdamW has no memory of earlier steps.
func NewAdamW(d *torch.Device, params []*nn.Param, c Config) *AdamW {
	o := &AdamW{Beta1: c.AdamBeta1, Beta2: c.AdamBeta2, Eps: c.AdamEpsilon, WeightDecay: c.WeightDecay, params: params}
	for _, p := range params {
		shape := p.Tensor.Shape()
		o.mean = append(o.mean, d.Zeros(torch.Float32, shape...).Keep())
		o.square = append(o.square, d.Zeros(torch.Float32, shape...).Keep())
	}
	return o
}

// Clip scales all gradients so that their joint Euclidean norm is at most max,
// and gives the norm that it was. 0 does not scale.
func (o *AdamW) Clip(max float64) float64 {
	var total float64
	for _, p := range o.params {
		torch.Tidy(p.Tensor.Device(), func() *torch.Tensor {
			if g := p.Tensor.Grad(); g != nil {
				n := g.Norm().Float()
				total += n * n
			}
			return nil
		})
	}
	norm := math.Sqrt(total)
	// torch.nn.utils.clip_grad_norm_ adds the same 1e-6.
	if scale := max / (norm + 1e-6); max > 0 && scale < 1 {
		for _, p := range o.params {
			torch.Tidy(p.Tensor.Device(), func() *torch.Tensor {
				if g := p.Tensor.Grad(); g != nil {
					g.Scale_(scale)
				}
				return nil
			})
		}
	}
	return norm
}

// Step moves every parameter that has a gradient, at the given learning rate.
func (o *AdamW) Step(rate float64) {
	o.steps++
	correct1 := 1 - math.Pow(o.Beta1, float64(o.steps))
	correct2 := 1 - math.Pow(o.Beta2, float64(o.steps))
	for i, p := range o.params {
		torch.Tidy(p.Tensor.Device(), func() *torch.Tensor {
			g := p.Tensor.Grad()
			if g == nil {
				return nil
			}
			if p.Decay && o.WeightDecay != 0 {
				p.Tensor.Scale_(1 - rate*o.WeightDecay)
			}
			o.mean[i].Lerp_(g, 1-o.Beta1)
			o.square[i].Lerp_(g.Square(), 1-o.Beta2)
			den := o.square[i].Sqrt()
			den.Scale_(1 / math.Sqrt(correct2))
			den.AddScalar_(o.Eps)
			p.Tensor.Addcdiv_(o.mean[i].Scale(-rate/correct1), den)
			return nil
		})
	}
}

// ZeroGrad forgets the gradients.
func (o *AdamW) ZeroGrad() {
	for _, p := range o.params {
		p.Tensor.ZeroGrad()
	}
}

// Close frees the memory of earlier steps.
func (o *AdamW) Close() {
	for i := range o.mean {
		o.mean[i].Free()
		o.square[i].Free()
	}
}

// OptimizerFile is the name of the optimiser's memory in a checkpoint.
const OptimizerFile = "optimizer.safetensors"

// save writes the memory of earlier steps; the number of steps stands in the
// trainer's state.
func (o *AdamW) save(folder string) error {
	var sources []safetensors.Source
	add := func(name string, t *torch.Tensor) {
		sources = append(sources, safetensors.Source{
			Name: name, DType: safetensors.F32, Shape: t.Shape(),
			WriteTo: func(w io.Writer) error { _, err := w.Write(t.Bytes()); return err },
		})
	}
	for i, p := range o.params {
		add(p.Name+".exp_avg", o.mean[i])
		add(p.Name+".exp_avg_sq", o.square[i])
	}
	return safetensors.Write(filepath.Join(folder, OptimizerFile), sources, nil)
}

// load reads what save wrote.
func (o *AdamW) load(folder string, steps int) error {
	f, err := safetensors.Open(filepath.Join(folder, OptimizerFile))
	if err != nil {
		return err
	}
	defer f.Close()
	o.steps = steps
	for i, p := range o.params {
		for name, t := range map[string]*torch.Tensor{".exp_avg": o.mean[i], ".exp_avg_sq": o.square[i]} {
			stored, ok := f.Tensor(p.Name + name)
			if !ok || stored.DType != safetensors.F32 || !slices.Equal(stored.Shape, t.Shape()) {
				return fmt.Errorf("%s does not fit the model: %s%s", OptimizerFile, p.Name, name)
			}
			torch.Tidy(t.Device(), func() *torch.Tensor {
				t.Copy_(t.Device().FromBytes(stored.Data, torch.Float32, t.Shape()...))
				return nil
			})
		}
	}
	return nil
}
