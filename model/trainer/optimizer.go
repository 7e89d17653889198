package trainer

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

// AdamW is Adam with decoupled weight decay (Loshchilov & Hutter,
// arXiv 1711.05101), torch.optim.AdamW. Its methods run inside a Run of the
// parameters' device.
type AdamW struct {
	settings torch.AdamW
	params   []*nn.Param
	mean     []*torch.Tensor // running mean of the gradient
	square   []*torch.Tensor // and of its square
}

// NewAdamW has no memory of earlier steps.
func NewAdamW(d *torch.Device, params []*nn.Param, c Config) *AdamW {
	o := &AdamW{params: params, settings: torch.AdamW{
		Beta1: c.AdamBeta1, Beta2: c.AdamBeta2, Eps: c.AdamEpsilon, Decay: c.WeightDecay,
	}}
	for _, p := range params {
		shape := p.Tensor.Shape()
		o.mean = append(o.mean, d.Zeros(torch.Float32, shape...).Keep())
		o.square = append(o.square, d.Zeros(torch.Float32, shape...).Keep())
	}
	return o
}

// Clip divides all gradients by scale, the factor of the loss, and scales them so
// that their joint Euclidean norm is at most max, and gives the norm that it was.
// A max of 0 does not limit it.
func (o *AdamW) Clip(max, scale float64) (norm float64) {
	var grads []*torch.Tensor
	for _, p := range o.params {
		if g := p.Tensor.Grad(); g != nil {
			grads = append(grads, g)
		}
	}
	if scale != 1 && !torch.Unscale(grads, 1/scale) {
		return math.Inf(1)
	}
	if max == 0 {
		return torch.NormOf(grads)
	}
	return torch.ClipGradNorm(grads, max)
}

// group are parameters that the optimiser moves in one sweep.
type group struct{ params, grads, means, squares []*torch.Tensor }

// Step moves every parameter that has a gradient, at the given learning rate.
func (o *AdamW) Step(rate float64) {
	o.settings.Step++
	o.settings.Rate = rate
	groups := map[bool]*group{true: {}, false: {}}
	for i, p := range o.params {
		if grad := p.Tensor.Grad(); grad != nil {
			g := groups[p.Decay]
			g.params, g.grads = append(g.params, p.Tensor), append(g.grads, grad)
			g.means, g.squares = append(g.means, o.mean[i]), append(g.squares, o.square[i])
		}
	}
	for decays, g := range groups {
		settings := o.settings
		if !decays {
			settings.Decay = 0
		}
		torch.FusedAdamW(g.params, g.grads, g.means, g.squares, settings)
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
	for i, p := range o.params {
		sources = append(sources, tensorSource(p.Name+".exp_avg", o.mean[i]), tensorSource(p.Name+".exp_avg_sq", o.square[i]))
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
	o.settings.Step = steps
	for i, p := range o.params {
		if err := errors.Join(fill(o.mean[i], f, p.Name+".exp_avg"), fill(o.square[i], f, p.Name+".exp_avg_sq")); err != nil {
			return fmt.Errorf("%s: %w", OptimizerFile, err)
		}
	}
	return nil
}
