package nn

import "github.com/blipflow/blipflow/model/torch"

// Linear is x·Wᵀ + b, for a W that may have a [LowRank] update.
type Linear struct {
	Weight, Bias *torch.Tensor
	// param is that of the weight: copies of the layer share it, and with it the
	// update. nil in a layer that no builder made, which has none.
	param *Param
}

// NewLinear has weight [out in], from N(0, std²), and bias [out].
func NewLinear(p Path, in, out int64, std float64) Linear {
	weight := p.param("weight", Normal(std), []int64{out, in})
	if weight != nil {
		weight.Linear = true
	}
	return Linear{Weight: weight.tensor(), Bias: p.Param("bias", Zeros, out), param: weight}
}

// Forward maps [... in] to [... out].
func (l Linear) Forward(x *torch.Tensor) *torch.Tensor {
	y := x.Linear(l.Weight, l.Bias)
	if l.param == nil || l.param.Update == nil {
		return y
	}
	return y.Add(l.param.Update.Forward(x))
}

// LayerNorm normalises over the last dimension.
type LayerNorm struct {
	Weight, Bias *torch.Tensor
	Eps          float64
}

// NewLayerNorm has weight and bias [dim].
func NewLayerNorm(p Path, dim int64, eps float64) LayerNorm {
	return LayerNorm{Weight: p.Param("weight", Ones, dim), Bias: p.Param("bias", Zeros, dim), Eps: eps}
}

// Forward keeps the shape.
func (l LayerNorm) Forward(x *torch.Tensor) *torch.Tensor {
	return x.LayerNorm(l.Weight, l.Bias, l.Eps)
}

// Embedding is a table of rows looked up by id.
type Embedding struct {
	Weight *torch.Tensor
	// Padding is the id whose row the look-up never trains; −1 for none.
	Padding int64
}

// NewEmbedding has weight [rows dim], from N(0, std²) but for a padding row of
// zeros.
func NewEmbedding(p Path, rows, dim int64, std float64, padding int64) Embedding {
	init := func(t *torch.Tensor) {
		t.Normal_(0, std)
		if padding >= 0 {
			t.Select(0, padding).Zero_()
		}
	}
	return Embedding{Weight: p.Param("weight", init, rows, dim), Padding: padding}
}

// Forward maps int64 ids [...] to [... dim].
func (e Embedding) Forward(ids *torch.Tensor) *torch.Tensor { return e.Weight.Embed(ids, e.Padding) }

// PatchEmbedding cuts a picture into squares and maps each to a vector: a
// convolution whose stride is its size.
type PatchEmbedding struct {
	Weight, Bias *torch.Tensor
	Patch        int64
}

// NewPatchEmbedding has weight [dim 3 patch patch], from N(0, std²), and bias
// [dim].
func NewPatchEmbedding(p Path, dim, patch int64, std float64) PatchEmbedding {
	return PatchEmbedding{
		Weight: p.Param("weight", Normal(std), dim, 3, patch, patch),
		Bias:   p.Param("bias", Zeros, dim),
		Patch:  patch,
	}
}

// Forward maps pixels [B 3 height width] to [B patches dim], row by row.
func (e PatchEmbedding) Forward(pixels *torch.Tensor) *torch.Tensor {
	x := pixels.Conv2d(e.Weight, e.Bias, e.Patch) // [B dim h w]
	s := x.Shape()
	return x.Reshape(s[0], s[1], s[2]*s[3]).Transpose(1, 2)
}

// Dropout zeroes elements with probability p while the device trains.
func Dropout(x *torch.Tensor, p float64) *torch.Tensor {
	if p == 0 || !x.Device().Trains() {
		return x
	}
	return x.Dropout(p)
}

// Attend is attention with its own dropout, of probability p while the device
// trains. See [torch.Attend] for the shapes.
func Attend(q, k, v, mask *torch.Tensor, p float64) *torch.Tensor {
	if !q.Device().Trains() {
		p = 0
	}
	return torch.Attend(q, k, v, mask, p)
}
