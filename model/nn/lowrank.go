package nn

import "github.com/blipflow/blipflow/model/torch"

// LowRank is what a low-rank adapter adds to the matrix of a [Linear]:
// Scale·B·A (LoRA, Hu et al., arXiv 2106.09685).
type LowRank struct {
	A *torch.Tensor // [rank in]
	B *torch.Tensor // [out rank]
	// Scale is LoRA's alpha over the rank.
	Scale float64
	// Dropout is the probability with which elements in front of A are zeroed
	// while the device trains.
	Dropout float64
}

// Forward maps [... in] to [... out]: the update's part of the layer's result.
func (u *LowRank) Forward(x *torch.Tensor) *torch.Tensor {
	// Scaled where it has the fewest elements.
	return Dropout(x, u.Dropout).Linear(u.A, nil).Scale(u.Scale).Linear(u.B, nil)
}

// Merged is the parameter with its update in it, and the parameter itself where
// it has none.
func (p *Param) Merged() *torch.Tensor {
	u := p.Update
	if u == nil {
		return p.Tensor
	}
	return p.Tensor.Add(u.B.Linear(u.A.Transpose(0, 1), nil).Scale(u.Scale))
}
