package trainer

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

// average is an exponential moving average of the learned weights. Its methods
// run inside a Run of the parameters' device. While it is shown, the parameters
// hold the average, and it holds the weights: the model is evaluated and saved
// so.
type average struct {
	decay  float64
	params []*nn.Param
	held   []*torch.Tensor
}

// newAverage starts from the parameters' values.
func newAverage(params []*nn.Param, decay float64) *average {
	a := &average{decay: decay, params: params}
	for _, p := range params {
		held := p.Tensor.Device().Zeros(torch.Float32, p.Tensor.Shape()...).Keep()
		held.Copy_(p.Tensor)
		a.held = append(a.held, held)
	}
	return a
}

// follow moves the average towards the parameters after a step.
func (a *average) follow() {
	torch.LerpAll(a.held, a.weights(), 1-a.decay)
}

func (a *average) weights() []*torch.Tensor {
	var out []*torch.Tensor
	for _, p := range a.params {
		out = append(out, p.Tensor)
	}
	return out
}

// swap exchanges the parameters' values with those held, to the bit.
func (a *average) swap() {
	for i, p := range a.params {
		torch.Tidy(p.Tensor.Device(), func() *torch.Tensor {
			passing := p.Tensor.Device().Zeros(torch.Float32, p.Tensor.Shape()...)
			passing.Copy_(p.Tensor)
			p.Tensor.Copy_(a.held[i])
			a.held[i].Copy_(passing)
			return nil
		})
	}
}

func (a *average) close() {
	for _, t := range a.held {
		t.Free()
	}
}

// WeightsFile is the name of the weights that training goes on from, in a
// checkpoint whose model is an average of them.
const WeightsFile = "training_weights.safetensors"

// save writes the weights held while the average is shown.
func (a *average) save(folder string) error {
	var sources []safetensors.Source
	for i, p := range a.params {
		sources = append(sources, tensorSource(p.Name, a.held[i]))
	}
	return safetensors.Write(filepath.Join(folder, WeightsFile), sources, nil)
}

// load reads what save wrote into the parameters, which hold the average until
// then.
func (a *average) load(folder string) error {
	f, err := safetensors.Open(filepath.Join(folder, WeightsFile))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range a.params {
		if err := fill(p.Tensor, f, p.Name); err != nil {
			return fmt.Errorf("%s: %w", WeightsFile, err)
		}
	}
	return nil
}

// tensorSource writes a tensor, inside a Run of its device.
func tensorSource(name string, t *torch.Tensor) safetensors.Source {
	return safetensors.Source{
		Name: name, DType: safetensors.F32, Shape: t.Shape(),
		WriteTo: func(w io.Writer) error { _, err := w.Write(t.Bytes()); return err },
	}
}

// fill copies a stored tensor of the same shape into t.
func fill(t *torch.Tensor, f *safetensors.File, name string) error {
	stored, ok := f.Tensor(name)
	if !ok || stored.DType != safetensors.F32 || !slices.Equal(stored.Shape, t.Shape()) {
		return fmt.Errorf("%s does not fit the model", name)
	}
	torch.Tidy(t.Device(), func() *torch.Tensor {
		t.Copy_(t.Device().FromBytes(stored.Data, torch.Float32, t.Shape()...))
		return nil
	})
	return nil
}
