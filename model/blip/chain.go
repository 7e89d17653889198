package blip

import (
	"bytes"

	"github.com/blipflow/blipflow/model/torch"
)

// retained says what a step of a chain leaves for the backward pass.
type retained int

const (
	graph retained = iota // all that the backward pass needs
	input                 // what went in: the step is computed again
)

// chain takes a tensor through a row of steps and differentiates them one by
// one from the last: each has a graph of its own, cut off from those around it.
type chain struct {
	device   *torch.Device
	autocast torch.DType
	x        *torch.Tensor // what the last step gave, outside of its graph
	steps    []*step
}

// function is what a step does.
type function = func(*torch.Tensor) *torch.Tensor

// step is a function that a chain went through.
type step struct {
	again function      // has the graph of the function, if not its values
	in    *torch.Tensor // collects a gradient, but for that of the first step
	out   *torch.Tensor // with the graph; nil where it is computed again
	// random is the generator's state in front of a step that drew from it and
	// is computed again: it must draw the same numbers.
	random torch.RandomState
}

// newChain takes over x.
func newChain(x *torch.Tensor, autocast torch.DType) *chain {
	if autocast == 0 {
		autocast = torch.Float32
	}
	return &chain{device: x.Device(), autocast: autocast, x: x}
}

// learns tells whether a gradient of x goes anywhere.
func (c *chain) learns() bool { return len(c.steps) > 0 }

// compute runs a step on x and frees what it made but its result and its graph.
func (c *chain) compute(run function, x *torch.Tensor) (out *torch.Tensor) {
	c.device.Autocast(c.autocast, func() {
		out = torch.Tidy(c.device, func() *torch.Tensor { return run(x) })
	})
	return out
}

// forward appends a step. Those in front of the first with something to learn
// leave nothing.
func (c *chain) forward(r retained, run function) { c.forwardAgain(r, run, run) }

// forwardAgain appends a step that is computed again by another function, whose
// result has the same backward pass, where its values need not be right.
func (c *chain) forwardAgain(r retained, run, again function) {
	if c.autocast != torch.Float32 {
		again = run // which autocast sees
	}
	s := &step{again: again, in: c.x}
	if c.learns() {
		s.in.RequireGrad(torch.Collected)
	}
	if r == input {
		s.random = c.device.RandomState()
	}
	if r == input && c.learns() {
		c.device.Unrecorded(func() { c.x = c.compute(run, s.in) })
	} else {
		s.out = c.compute(run, s.in)
		c.x = s.out.Detach()
		if !s.out.RequiresGrad() {
			s.in.Free()
			s.out.Free()
			return
		}
	}
	if r == input {
		s.out.Free()
		s.out = nil
		if bytes.Equal(s.random, c.device.RandomState()) {
			s.random = nil
		}
	}
	c.steps = append(c.steps, s)
}

// backward adds the gradients of what was learned on the way, from the gradient
// of x, which it takes over. The generator is left as it was found.
func (c *chain) backward(gradient *torch.Tensor) {
	random := c.device.RandomState()
	drawn := false
	for len(c.steps) > 0 {
		s := c.steps[len(c.steps)-1]
		c.steps = c.steps[:len(c.steps)-1]
		if s.random != nil {
			c.device.SetRandomState(s.random)
			drawn = true
		}
		if s.out == nil {
			s.out = c.compute(s.again, s.in)
		}
		s.out.BackwardWith(gradient)
		gradient.Free()
		s.out.Free()
		gradient = s.in.Grad()
		s.in.Free()
	}
	if drawn {
		c.device.SetRandomState(random)
	}
}
