package torch

import (
	"fmt"

	"github.com/sugarme/gotch/ts"
)

// The operations here work on whole lists of tensors, of one device and one
// element type each, in place: call them under [Device.Without] or in a Run of
// mode Inference. An empty list is allowed.

// AdamW are the settings of one step of the optimiser.
type AdamW struct {
	Step                    int // from 1 on
	Rate, Beta1, Beta2, Eps float64
	Decay                   float64 // weight decay, decoupled
}

// FusedAdamW moves params along their gradients and updates the running means
// of the gradients and of their squares: torch.optim.AdamW with fused=True,
// which reads and writes each value once.
func FusedAdamW(params, grads, means, squares []*Tensor, s AdamW) {
	if len(params) == 0 {
		return
	}
	check(fmt.Sprintf("adamw of %d tensors", len(params)),
		ts.FusedAdamW(handles(params), handles(grads), handles(means), handles(squares),
			float64(s.Step), s.Rate, s.Beta1, s.Beta2, s.Eps, s.Decay))
}

// NormOf is the Euclidean norm of all elements of all tensors; NaN or infinite
// where one of them is.
func NormOf(list []*Tensor) float64 {
	if len(list) == 0 {
		return 0
	}
	d := list[0].dev
	var norm float64
	Tidy(d, func() *Tensor {
		c, err := ts.NormOf(handles(list))
		norm = d.wrap("norm of all", c, err).Float()
		return nil
	})
	return norm
}

// ClipGradNorm scales the tensors so that their joint Euclidean norm is at most
// max, as torch.nn.utils.clip_grad_norm_ does, and gives the norm that it was.
func ClipGradNorm(list []*Tensor, max float64) (norm float64) {
	if len(list) == 0 {
		return 0
	}
	norm = NormOf(list)
	// The reference adds the same 1e-6. A norm that is not finite spoils all, as
	// it does there.
	if share := max / (norm + 1e-6); !(share >= 1) {
		ScaleAll(list, share)
	}
	return norm
}

// ScaleAll multiplies the tensors by factor.
func ScaleAll(list []*Tensor, factor float64) {
	if len(list) > 0 {
		check("scale all", ts.ScaleAll(handles(list), factor))
	}
}

// Unscale multiplies the tensors by factor and tells whether all their elements
// are finite, as torch.amp.GradScaler.unscale_ does.
func Unscale(list []*Tensor, factor float64) (finite bool) {
	if len(list) == 0 {
		return true
	}
	finite, err := ts.Unscale(handles(list), factor)
	check("unscale", err)
	return finite
}

// LerpAll moves each tensor towards its end by the share w: t + w·(end − t).
func LerpAll(list, ends []*Tensor, w float64) {
	if len(list) > 0 {
		check("lerp of all", ts.LerpAll(handles(list), handles(ends), w))
	}
}
