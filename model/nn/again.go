package nn

import "github.com/blipflow/blipflow/model/torch"

// Again is Forward where only the backward pass is wanted, of a result that is
// known from an earlier time: the product of the layer's matrix, which no
// gradient depends on, is left out, and the values are meaningless. Autocast
// does not see it.
func (l Linear) Again(x *torch.Tensor) *torch.Tensor {
	y := x.LinearAgain(l.Weight, l.Bias)
	if l.param == nil || l.param.Update == nil {
		return y
	}
	return y.Add(l.param.Update.Forward(x))
}
