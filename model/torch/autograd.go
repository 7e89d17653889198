package torch

import (
	lib "github.com/sugarme/gotch/libtch"
)

// Gradient says whether a tensor collects one.
type Gradient bool

// Whether a tensor takes part in the backward pass.
const (
	Collected Gradient = true
	Frozen    Gradient = false
)

// RequireGrad turns the collecting of gradients on (a parameter in training)
// or off.
func (t *Tensor) RequireGrad(g Gradient) {
	var on int32
	if g == Collected {
		on = 1
	}
	t.inPlace("requires grad", func(again *lib.Ctensor, self lib.Ctensor) { lib.AtgRequiresGrad_(again, self, on) })
}

// Backward adds the gradients of the scalar t to all tensors that require one.
func (t *Tensor) Backward() { check("backward", t.c.Backward()) }

// Grad is the gradient collected so far, or nil where there is none. The
// result shares its memory with the gradient.
func (t *Tensor) Grad() *Tensor {
	c, err := t.c.Grad(false)
	g := t.do("grad", c, err)
	defined, err := g.c.Defined()
	check("grad", err)
	if !defined {
		return nil
	}
	return g
}

// ZeroGrad sets the collected gradient to 0.
func (t *Tensor) ZeroGrad() {
	t.dev.Without(func() {
		Tidy(t.dev, func() *Tensor {
			if g := t.Grad(); g != nil {
				g.Zero_()
			}
			return nil
		})
	})
}
