// Package nn holds the layers that a network is put together from, and the
// paths by which they find their parameters in a checkpoint.
//
// A constructor asks its [Path] for each parameter once, by the name that it
// has in the checkpoint; where the values come from, a file or a random
// generator, is the [Builder]'s matter. All layers run inside the device's Run.
package nn

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/blipflow/blipflow/model/torch"
)

// Init sets a new parameter, which is all zeros, to its first values.
type Init func(t *torch.Tensor)

// Initialisations as the reference has them.
var (
	Zeros Init = func(*torch.Tensor) {}
	Ones  Init = func(t *torch.Tensor) { t.Fill_(1) }
)

// Normal draws from N(0, std²).
func Normal(std float64) Init { return func(t *torch.Tensor) { t.Normal_(0, std) } }

// TruncNormal draws from N(0, std²) limited to [−2, 2].
func TruncNormal(std float64) Init { return func(t *torch.Tensor) { t.TruncNormal_(std, -2, 2) } }

// Source gives the first values of a parameter. A nil tensor without an error
// says that the source does not have it; where init is nil, it need not.
type Source func(name string, shape []int64, init Init) (*torch.Tensor, error)

// Random is the source of a model that starts from nothing.
func Random(d *torch.Device) Source {
	return func(_ string, shape []int64, init Init) (*torch.Tensor, error) {
		if init == nil {
			return nil, nil
		}
		t := d.Zeros(torch.Float32, shape...)
		init(t)
		return t, nil
	}
}

// Param is a named tensor that a network learns.
type Param struct {
	Name   string
	Tensor *torch.Tensor
	// Decay says whether weight decay applies: to matrices, not to biases and
	// the weights of norms.
	Decay bool
	// Linear says that it is the matrix of a [Linear], which heeds Update.
	Linear bool
	// Update is what the Linear adds to the matrix; nil for nothing.
	Update *LowRank
}

// Builder collects the parameters of a network under construction.
type Builder struct {
	source Source
	seen   map[string]bool
	params []*Param
	errs   []error
}

// ErrMissing is wrapped where a source lacks a parameter of the network.
var ErrMissing = errors.New("no such parameter in the checkpoint")

// NewBuilder returns an empty builder.
func NewBuilder(source Source) *Builder {
	return &Builder{source: source, seen: map[string]bool{}}
}

// Root is the path of the network itself.
func (b *Builder) Root() Path { return Path{b: b} }

// Params are the parameters asked for so far, in order of construction.
func (b *Builder) Params() []*Param { return b.params }

// Err joins what went wrong: parameters that are missing, of another shape or
// asked for twice. At most ten are told.
func (b *Builder) Err() error {
	const most = 10
	if len(b.errs) <= most {
		return errors.Join(b.errs...)
	}
	return errors.Join(append(b.errs[:most:most], fmt.Errorf("and %d more", len(b.errs)-most))...)
}

// Path is a place in the network's tree of names.
type Path struct {
	b      *Builder
	prefix string
}

// Sub is the path of a named part.
func (p Path) Sub(name string) Path {
	if p.prefix == "" {
		return Path{p.b, name}
	}
	return Path{p.b, p.prefix + "." + name}
}

// At is the path of the i-th part of a list.
func (p Path) At(i int) Path { return p.Sub(strconv.Itoa(i)) }

// Param asks for a parameter. On failure the builder remembers why, and the
// result is nil.
func (p Path) Param(name string, init Init, shape ...int64) *torch.Tensor {
	return p.param(name, init, shape).tensor()
}

func (p Path) param(name string, init Init, shape []int64) *Param {
	full := p.Sub(name).prefix
	q := p.b.ask(full, init, shape)
	if q == nil {
		p.b.errs = append(p.b.errs, fmt.Errorf("%s %v: %w", full, shape, ErrMissing))
	}
	return q
}

// Optional asks for a parameter that a checkpoint may lack: nil where it does.
func (p Path) Optional(name string, shape ...int64) *torch.Tensor {
	return p.b.ask(p.Sub(name).prefix, nil, shape).tensor()
}

// Forget takes a parameter that turned out to be another's copy out again.
func (p Path) Forget(name string) {
	full := p.Sub(name).prefix
	for i, q := range p.b.params {
		if q.Name == full {
			q.Tensor.Free()
			p.b.params = append(p.b.params[:i], p.b.params[i+1:]...)
			return
		}
	}
}

// tensor is nil for a parameter that is not there.
func (p *Param) tensor() *torch.Tensor {
	if p == nil {
		return nil
	}
	return p.Tensor
}

func (b *Builder) ask(name string, init Init, shape []int64) *Param {
	if b.seen[name] {
		b.errs = append(b.errs, fmt.Errorf("%s: asked for twice", name))
		return nil
	}
	b.seen[name] = true
	t, err := b.source(name, shape, init)
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: %w", name, err))
		t = nil
	}
	if t == nil {
		return nil
	}
	q := &Param{Name: name, Tensor: t.Keep(), Decay: len(shape) > 1}
	b.params = append(b.params, q)
	return q
}
