package torch

import (
	"fmt"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
	"github.com/sugarme/gotch/ts"
)

// do records the result of an operation on t.
func (t *Tensor) do(op string, c *ts.Tensor, err error) *Tensor {
	return t.dev.wrap(op, c, err)
}

// check is for operations in place, which have no result.
func check(op string, err error) {
	if err != nil {
		panic(&opError{op: op, err: trimTrace(err)})
	}
}

// absent has a null handle, which gotch's wrapper takes for "no such operand".
// (ts.None is an undefined tensor instead: some operations refuse that.)
var absent = &ts.Tensor{}

// opt stands for an optional operand.
func opt(t *Tensor) *ts.Tensor {
	if t == nil {
		return absent
	}
	return t.c
}

func handles(list []*Tensor) []*ts.Tensor {
	out := make([]*ts.Tensor, len(list))
	for i, t := range list {
		out[i] = t.c
	}
	return out
}

// withScalar lends fn a libtorch scalar.
func withScalar(v float64, fn func(lib.Cscalar)) {
	s := lib.AtsFloat(v)
	defer lib.AtsFree(s)
	fn(s)
}

// Add is t + u, broadcast.
func (t *Tensor) Add(u *Tensor) *Tensor {
	c, err := t.c.Add(u.c, false)
	return t.do("add", c, err)
}

// Sub is t − u, broadcast.
func (t *Tensor) Sub(u *Tensor) *Tensor {
	c, err := t.c.Sub(u.c, false)
	return t.do("sub", c, err)
}

// Mul is t · u, element by element, broadcast.
func (t *Tensor) Mul(u *Tensor) *Tensor {
	c, err := t.c.Mul(u.c, false)
	return t.do("mul", c, err)
}

// Scale is v · t.
func (t *Tensor) Scale(v float64) (out *Tensor) {
	withScalar(v, func(s lib.Cscalar) {
		var c lib.Ctensor
		lib.AtgMulScalar(&c, t.raw(), s)
		err := ts.TorchErr()
		out = t.do("scale", ts.FromCtensor(unsafe.Pointer(c)), err)
	})
	return out
}

// Square is t², element by element.
func (t *Tensor) Square() *Tensor {
	c, err := t.c.Square(false)
	return t.do("square", c, err)
}

// Sqrt is the square root, element by element.
func (t *Tensor) Sqrt() *Tensor {
	c, err := t.c.Sqrt(false)
	return t.do("sqrt", c, err)
}

// Sum adds up all elements.
func (t *Tensor) Sum() *Tensor {
	c, err := t.c.Sum(t.DType(), false)
	return t.do("sum", c, err)
}

// Norm is the Euclidean norm of all elements.
func (t *Tensor) Norm() *Tensor {
	c, err := t.c.Norm(false)
	return t.do("norm", c, err)
}

// Linear is x·Wᵀ + b for x [... I], weight [O I], bias [O] or nil.
func (t *Tensor) Linear(weight, bias *Tensor) *Tensor {
	c, err := ts.Linear(t.c, weight.c, opt(bias))
	return t.do(fmt.Sprintf("linear of %v by %v", t.Shape(), weight.Shape()), c, err)
}

// LinearAgain is Linear for its backward pass alone, where the result is known
// already: its values are 0, its gradients those of Linear. Autocast does not
// see it.
func (t *Tensor) LinearAgain(weight, bias *Tensor) *Tensor {
	c, err := ts.LinearAgain(t.c, weight.c, opt(bias))
	return t.do(fmt.Sprintf("linear of %v by %v", t.Shape(), weight.Shape()), c, err)
}

// Conv2d is the convolution of t [B C H W] with weight [O C K K] at a stride.
func (t *Tensor) Conv2d(weight, bias *Tensor, stride int64) *Tensor {
	c, err := ts.Conv2d(t.c, weight.c, opt(bias), []int64{stride, stride}, []int64{0, 0}, []int64{1, 1}, 1)
	return t.do(fmt.Sprintf("conv2d of %v by %v", t.Shape(), weight.Shape()), c, err)
}

// LayerNorm normalises over the last dimension.
func (t *Tensor) LayerNorm(weight, bias *Tensor, eps float64) *Tensor {
	c, err := ts.LayerNorm(t.c, weight.Shape(), weight.c, bias.c, eps, true)
	return t.do(fmt.Sprintf("layer norm of %v", t.Shape()), c, err)
}

// Activation names a non-linearity as Hugging Face's config does.
type Activation string

// The activations that BLIP configurations name.
const (
	GELU     Activation = "gelu"     // exact, by the error function
	GELUTanh Activation = "gelu_new" // the tanh approximation
	ReLU     Activation = "relu"
)

// Activate applies a non-linearity.
func (t *Tensor) Activate(a Activation) *Tensor {
	switch a {
	case GELU:
		c, err := t.c.Gelu("none", false)
		return t.do("gelu", c, err)
	case GELUTanh:
		c, err := t.c.Gelu("tanh", false)
		return t.do("gelu", c, err)
	case ReLU:
		c, err := t.c.Relu(false)
		return t.do("relu", c, err)
	}
	panic(&opError{op: "activation", err: fmt.Errorf("unknown activation %q", a)})
}

// Attend is scaled dot-product attention of q [B N T H] over k and v [B N S H].
// A mask, [B 1 T S] or nil, is added to the scores.
func Attend(q, k, v, mask *Tensor, dropout float64) *Tensor {
	var bias *ts.Tensor
	if mask != nil {
		bias = mask.c
	}
	c, err := ts.Attention(q.c, k.c, v.c, bias, dropout)
	return q.do(fmt.Sprintf("attention of %v over %v", q.Shape(), k.Shape()), c, err)
}

// Dropout zeroes elements with probability p and scales the rest by 1/(1−p).
func (t *Tensor) Dropout(p float64) *Tensor {
	c, err := ts.Dropout(t.c, p, true)
	return t.do("dropout", c, err)
}

// Embed looks up rows of the table t [V D] by int64 ids of any shape. The row
// padding receives no gradient; −1 for none.
func (t *Tensor) Embed(ids *Tensor, padding int64) *Tensor {
	c, err := ts.Embedding(t.c, ids.c, padding, false, false)
	return t.do("embedding", c, err)
}

// LogSoftmax is the logarithm of the softmax over the last dimension.
func (t *Tensor) LogSoftmax() *Tensor {
	c, err := t.c.LogSoftmax(-1, t.DType(), false)
	return t.do("log softmax", c, err)
}

// Reduction says what CrossEntropy does with the losses of its rows.
type Reduction int64

// Reductions, by libtorch's numbers. Rows that are ignored count in neither.
const (
	ReduceMean Reduction = 1
	ReduceSum  Reduction = 2
)

// CrossEntropy is the loss of logits t [R V] against int64 labels [R]; rows
// whose label is ignore do not count.
func (t *Tensor) CrossEntropy(labels *Tensor, reduction Reduction, ignore int64, smoothing float64) *Tensor {
	c, err := t.c.CrossEntropyLoss(labels.c, absent, int64(reduction), ignore, smoothing, false)
	return t.do("cross entropy", c, err)
}

// Reshape gives the same elements another shape; −1 stands for what is left.
func (t *Tensor) Reshape(shape ...int64) *Tensor {
	c, err := t.c.Reshape(shape, false)
	return t.do(fmt.Sprintf("reshape of %v to %v", t.Shape(), shape), c, err)
}

// Transpose swaps two dimensions.
func (t *Tensor) Transpose(a, b int64) *Tensor {
	c, err := t.c.Transpose(a, b, false)
	return t.do("transpose", c, err)
}

// Permute reorders the dimensions.
func (t *Tensor) Permute(dims ...int64) *Tensor {
	c, err := t.c.Permute(dims, false)
	return t.do("permute", c, err)
}

// Contiguous lays the elements out in row-major order.
func (t *Tensor) Contiguous() *Tensor {
	c, err := t.c.Contiguous(false)
	return t.do("contiguous", c, err)
}

// Select takes index i of a dimension, which goes away.
func (t *Tensor) Select(dim, i int64) *Tensor {
	c, err := t.c.Select(dim, i, false)
	return t.do("select", c, err)
}

// Narrow takes length entries of a dimension from start on, as a view.
func (t *Tensor) Narrow(dim, start, length int64) *Tensor {
	c, err := t.c.Narrow(dim, start, length, false)
	return t.do("narrow", c, err)
}

// Chunk cuts a dimension into n equal parts, as views.
func (t *Tensor) Chunk(n, dim int64) []*Tensor {
	list, err := t.c.Chunk(n, dim)
	check("chunk", err)
	parts := make([]*Tensor, len(list))
	for i, c := range list {
		parts[i] = t.do("chunk", c, nil)
	}
	return parts
}

// Expand repeats dimensions of size 1 without copying.
func (t *Tensor) Expand(shape ...int64) *Tensor {
	c, err := t.c.Expand(shape, false, false)
	return t.do("expand", c, err)
}

// IndexSelect copies the entries of a dimension that an int64 index names.
func (t *Tensor) IndexSelect(dim int64, index *Tensor) *Tensor {
	c, err := t.c.IndexSelect(dim, index.c, false)
	return t.do("index select", c, err)
}

// Cat joins tensors along a dimension.
func Cat(dim int64, list ...*Tensor) *Tensor {
	c, err := ts.Cat(handles(list), dim)
	return list[0].do("cat", c, err)
}

// To is the tensor with another element type; itself where it has that type.
func (t *Tensor) To(dtype DType) *Tensor {
	if t.DType() == dtype {
		return t
	}
	c, err := t.c.ToDtype(dtype, false, false, false)
	return t.do("to dtype", c, err)
}

// Detach is the same data outside the graph.
func (t *Tensor) Detach() *Tensor {
	c, err := t.c.Detach(false)
	return t.do("detach", c, err)
}
