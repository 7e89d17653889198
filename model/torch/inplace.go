package torch

import (
	lib "github.com/sugarme/gotch/libtch"
	"github.com/sugarme/gotch/ts"
)

// The operations here change the tensor that they are called on. Inside a
// Training run, call them under [Device.Without].

// inPlace calls one of libtorch's operations in place. They return a second
// handle to the tensor, which would keep its memory alive for ever: gotch
// loses the one or the other, so its own in-place methods are not used here.
func (t *Tensor) inPlace(op string, call func(again *lib.Ctensor, self lib.Ctensor)) {
	var again lib.Ctensor
	call(&again, t.raw())
	err := ts.TorchErr()
	if again != nil {
		lib.AtFree(again)
	}
	check(op, err)
}

func (t *Tensor) inPlaceScalar(op string, v float64, call func(again *lib.Ctensor, self lib.Ctensor, v lib.Cscalar)) {
	withScalar(v, func(s lib.Cscalar) {
		t.inPlace(op, func(again *lib.Ctensor, self lib.Ctensor) { call(again, self, s) })
	})
}

// Zero_ sets all elements to 0.
func (t *Tensor) Zero_() { t.inPlace("zero", lib.AtgZero_) }

// Fill_ sets all elements to v.
func (t *Tensor) Fill_(v float64) { t.inPlaceScalar("fill", v, lib.AtgFill_) }

// Add_ adds u, broadcast.
func (t *Tensor) Add_(u *Tensor) {
	t.inPlace("add", func(again *lib.Ctensor, self lib.Ctensor) { lib.AtgAdd_(again, self, u.raw()) })
}

// AddScalar_ adds v.
func (t *Tensor) AddScalar_(v float64) { t.inPlaceScalar("add scalar", v, lib.AtgAddScalar_) }

// Scale_ multiplies by v.
func (t *Tensor) Scale_(v float64) { t.inPlaceScalar("scale", v, lib.AtgMulScalar_) }

// Addcdiv_ adds num/den, element by element.
func (t *Tensor) Addcdiv_(num, den *Tensor) {
	t.inPlace("addcdiv", func(again *lib.Ctensor, self lib.Ctensor) {
		lib.AtgAddcdiv_(again, self, num.raw(), den.raw())
	})
}

// Lerp_ moves towards end by the share w: t + w·(end − t).
func (t *Tensor) Lerp_(end *Tensor, w float64) {
	t.inPlaceScalar("lerp", w, func(again *lib.Ctensor, self lib.Ctensor, s lib.Cscalar) {
		lib.AtgLerp_(again, self, end.raw(), s)
	})
}

// Copy_ takes over the elements of u, converted to t's type.
func (t *Tensor) Copy_(u *Tensor) {
	lib.AtCopy_(t.raw(), u.raw())
	check("copy", ts.TorchErr())
}

// Normal_ draws the elements from N(mean, std²).
func (t *Tensor) Normal_(mean, std float64) {
	t.inPlace("normal", func(again *lib.Ctensor, self lib.Ctensor) { lib.AtgNormal_(again, self, mean, std) })
}

// Uniform_ draws the elements from U[from, to).
func (t *Tensor) Uniform_(from, to float64) {
	t.inPlace("uniform", func(again *lib.Ctensor, self lib.Ctensor) { lib.AtgUniform_(again, self, from, to) })
}

// TruncNormal_ draws the elements from N(0, std²) limited to [lo, hi], by the
// inverse of the distribution function as torch's nn.init.trunc_normal_ does.
func (t *Tensor) TruncNormal_(std, lo, hi float64) {
	t.Uniform_(2*normalCDF(lo/std)-1, 2*normalCDF(hi/std)-1)
	t.inPlace("erfinv", lib.AtgErfinv_)
	t.Scale_(std * sqrt2)
	t.clamp(lo, hi)
}

func (t *Tensor) clamp(lo, hi float64) {
	withScalar(lo, func(l lib.Cscalar) {
		withScalar(hi, func(h lib.Cscalar) {
			t.inPlace("clamp", func(again *lib.Ctensor, self lib.Ctensor) { lib.AtgClamp_(again, self, l, h) })
		})
	})
}
