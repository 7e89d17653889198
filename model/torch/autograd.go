package torch

import (
	lib "github.com/sugarme/gotch/libtch"
	"github.com/sugarme/gotch/ts"
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

// RequiresGrad tells whether the backward pass goes through t: it collects a
// gradient or was made, with a graph, of a tensor that does.
func (t *Tensor) RequiresGrad() bool {
	on, err := t.c.RequiresGrad()
	check("requires grad", err)
	return on
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

// BackwardWith is Backward from a tensor of any shape, given the gradient that
// reaches it. It frees the graph behind t.
func (t *Tensor) BackwardWith(gradient *Tensor) {
	check("backward", ts.BackwardWith([]*ts.Tensor{t.c}, []*ts.Tensor{gradient.c}, false))
}

// ZeroGrad forgets the collected gradient and frees its memory: Grad is nil
// until the next backward pass (torch's zero_grad, set_to_none=True).
func (t *Tensor) ZeroGrad() { check("zero grad", ts.ForgetGrad(t.c)) }
