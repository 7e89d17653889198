// Package lora fine-tunes a BLIP model by low-rank adaptation (LoRA, Hu et al.,
// arXiv 2106.09685): the weights stay as they are, and to the matrices of chosen
// linear layers an update of low rank is added and learned. A layer gives
//
//	x·Wᵀ + b + alpha/rank · dropout(x)·Aᵀ·Bᵀ
//
// with A [rank in] and B [out rank]. A starts from a uniform distribution, B
// from zeros, so that a new adapter changes nothing.
//
// # Files
//
// An adapter is saved as PEFT (Hugging Face) saves one: adapter_config.json and
// adapter_model.safetensors, which PeftModel.from_pretrained reads. Adapters of
// PEFT are read where they are plain LoRA on linear layers: with another kind of
// adapter, DoRA, rank-stabilised scaling, trained biases, ranks that differ by
// layer, a regular expression for target_modules or an initialisation that
// changes the base model, they are refused.
//
// Meanwhile [blip.Model.Save] writes the model with the adapter merged.
package lora

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/blipflow/blipflow/model/blip"
	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/torch"
)

// ErrConfig is wrapped by errors about settings that cannot be, or that do not
// fit the model.
var ErrConfig = errors.New("LoRA settings")

// Config are the settings of an adapter.
type Config struct {
	// Rank is that of the updates; 0 is for no adapter.
	Rank int `json:"lora_rank"`
	// Alpha, divided by the rank, scales the updates.
	Alpha float64 `json:"lora_alpha"`
	// Dropout is the probability with which elements in front of A are zeroed in
	// training.
	Dropout float64 `json:"lora_dropout"`
	// Targets name the linear layers that have an update, as PEFT's
	// target_modules do: by a layer's whole name or by its last parts ("query",
	// "crossattention.output.dense"). None stand for [DefaultTargets].
	Targets []string `json:"lora_target_modules"`
}

// DefaultTargets are the projections of all attentions but the text decoder's
// output projections, which are all called dense.
func DefaultTargets() []string { return []string{"qkv", "projection", "query", "key", "value"} }

// Validate names the first setting that cannot be. A rank of 0 leaves the others
// without meaning.
func (c Config) Validate() error {
	if c.Rank == 0 {
		return nil
	}
	for _, f := range []struct {
		key string
		bad bool
		got any
	}{
		{"lora_rank", c.Rank < 0, c.Rank},
		{"lora_alpha", !(c.Alpha > 0) || math.IsInf(c.Alpha, 0), c.Alpha},
		{"lora_dropout", !(c.Dropout >= 0 && c.Dropout < 1), c.Dropout},
		{"lora_target_modules", slices.Contains(c.Targets, ""), fmt.Sprintf("%q", c.Targets)},
	} {
		if f.bad {
			return fmt.Errorf("%w: %s is %v", ErrConfig, f.key, f.got)
		}
	}
	return nil
}

// Check tells whether a model of a configuration has the layers that the settings
// name, before its weights are read: they are called the same in a model of the
// same depth and next to no width.
func (c Config) Check(of blip.Config) error {
	if err := c.Validate(); err != nil || c.Rank == 0 {
		return err
	}
	of.Vision.HiddenSize, of.Vision.IntermediateSize = of.Vision.NumAttentionHeads, 1
	of.Text.HiddenSize, of.Text.IntermediateSize = of.Text.NumAttentionHeads, 1
	of.Text.EncoderHiddenSize = of.Vision.HiddenSize
	d, err := torch.Open("cpu")
	if err != nil {
		return err
	}
	m, err := blip.New(d, of, 0)
	if err != nil {
		return err
	}
	defer m.Close()
	_, err = find(m.Params(), c.targets())
	return err
}

func (c Config) targets() []string {
	if len(c.Targets) == 0 {
		return DefaultTargets()
	}
	return c.Targets
}

// Adapter is an adapter that a model has on.
type Adapter struct {
	config Config
	device *torch.Device
	layers []layer
	params []*nn.Param
}

// layer is a linear layer with an update.
type layer struct {
	weight *nn.Param
	update *nn.LowRank
}

// Attach gives a model an adapter that changes nothing yet: A is drawn from
// U(−1/√in, 1/√in), He's initialisation with a negative slope of √5 as PEFT has
// it, by libtorch's generator seeded with seed. The model's own parameters no
// longer collect gradients, and those of the adapter do not yet.
func Attach(m *blip.Model, c Config, seed int64) (*Adapter, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Rank == 0 {
		return nil, fmt.Errorf("%w: lora_rank is 0", ErrConfig)
	}
	c.Targets = slices.Clone(c.targets())
	weights, err := find(m.Params(), c.Targets)
	if err != nil {
		return nil, err
	}
	if err := torch.Seed(seed); err != nil {
		return nil, err
	}
	a := &Adapter{config: c, device: m.Device()}
	err = a.device.Run(torch.Inference, func() error {
		for _, p := range m.Params() {
			p.Tensor.RequireGrad(torch.Frozen)
		}
		for _, w := range weights {
			a.add(w)
		}
		return nil
	})
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("attach a LoRA adapter: %w", err)
	}
	return a, nil
}

// find gives the matrices of the layers that targets name, in the model's order.
func find(params []*nn.Param, targets []string) ([]*nn.Param, error) {
	var found []*nn.Param
	used, known := map[string]bool{}, map[string]bool{}
	for _, p := range params {
		if !p.Linear {
			continue
		}
		name := layerName(p)
		known[name[strings.LastIndexByte(name, '.')+1:]] = true
		chosen := false
		for _, target := range targets {
			if name == target || strings.HasSuffix(name, "."+target) {
				chosen, used[target] = true, true
			}
		}
		if !chosen {
			continue
		}
		if p.Update != nil {
			return nil, fmt.Errorf("attach a LoRA adapter: %s has an update already", name)
		}
		found = append(found, p)
	}
	for _, target := range targets {
		if !used[target] {
			return nil, fmt.Errorf("%w: lora_target_modules has %q, but no linear layer's name ends so; known ends are %s, and longer ones such as attention.output.dense",
				ErrConfig, target, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return found, nil
}

// layerName is the name of the linear layer that a matrix belongs to.
func layerName(weight *nn.Param) string { return strings.TrimSuffix(weight.Name, ".weight") }

// add gives a layer its update.
func (a *Adapter) add(weight *nn.Param) {
	shape := weight.Tensor.Shape()
	out, in, rank := shape[0], shape[1], int64(a.config.Rank)
	u := &nn.LowRank{Scale: a.config.Alpha / float64(rank), Dropout: a.config.Dropout}
	a.layers = append(a.layers, layer{weight, u})
	u.A = a.device.Zeros(torch.Float32, rank, in).Keep()
	bound := 1 / math.Sqrt(float64(in))
	u.A.Uniform_(-bound, bound)
	u.B = a.device.Zeros(torch.Float32, out, rank).Keep()
	a.params = append(a.params,
		&nn.Param{Name: layerName(weight) + ".lora_A.weight", Tensor: u.A, Decay: true},
		&nn.Param{Name: layerName(weight) + ".lora_B.weight", Tensor: u.B, Decay: true})
	weight.Update = u
}

// Params are the matrices A and B of each layer, what is learned, by the names
// that PEFT gives them after the model's own.
func (a *Adapter) Params() []*nn.Param { return a.params }

// Close takes the adapter off the model, which is then what it was before, and
// frees it. The model's parameters stay without gradients.
func (a *Adapter) Close() {
	_ = a.device.Run(torch.Inference, func() error { // freeing has nothing to report
		for _, l := range a.layers {
			if l.weight.Update == l.update {
				l.weight.Update = nil
			}
			l.update.A.Free()
			l.update.B.Free()
		}
		return nil
	})
	a.layers, a.params = nil, nil
}
