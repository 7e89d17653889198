package torch

import (
	"errors"
	"fmt"

	"github.com/sugarme/gotch"
	"github.com/sugarme/gotch/ts"
)

// Autocast runs fn with matrix products, convolutions and attention in dtype,
// Float16 or BFloat16, whatever type their operands have; Float32 changes
// nothing. The backward pass repeats the types of the forward pass and belongs
// outside of fn.
func (d *Device) Autocast(dtype DType, fn func()) {
	if dtype == Float32 {
		fn()
		return
	}
	check("autocast", ts.EnableAutocast(d.kind, dtype))
	defer func() {
		// It can't fail where the above has not, and must not hide a panic of fn.
		_ = ts.DisableAutocast(d.kind)
	}()
	fn()
}

// ErrPrecision is wrapped by errors about an element type that a device can't
// compute in.
var ErrPrecision = errors.New("precision not available")

// Compute capabilities of the first NVIDIA devices with products in these
// types. Older ones emulate them, slower than float32.
var firstCapability = map[DType]int{Float16: 53, BFloat16: 80}

// CheckPrecision tells whether a network can train on the device under
// [Device.Autocast] of dtype: by the hardware's generation where that says it,
// and by trying. Not to be called inside a Run.
func (d *Device) CheckPrecision(dtype DType) error {
	if dtype == Float32 {
		return nil
	}
	if dtype != Float16 && dtype != BFloat16 {
		return fmt.Errorf("%s: %w: autocast to %v", d.name, ErrPrecision, dtype)
	}
	if c := ts.ComputeCapability(d.kind); d.kind != gotch.CPU && c > 0 && c < firstCapability[dtype] {
		return fmt.Errorf("%s: %w: its compute capability is %d.%d, %v needs %d.%d", d.name, ErrPrecision,
			c/10, c%10, dtype, firstCapability[dtype]/10, firstCapability[dtype]%10)
	}
	if err := d.Run(Training, func() error { d.tryPrecision(dtype); return nil }); err != nil {
		return fmt.Errorf("%s: %w: %w", d.name, ErrPrecision, err)
	}
	return nil
}

// tryPrecision trains a network of each kind of layer on a few numbers.
func (d *Device) tryPrecision(dtype DType) {
	const rows, width, patch = 4, 8, 2
	pixels := d.Zeros(Float32, 1, 3, rows*patch, patch)
	kernel, weight, ones := d.Zeros(Float32, width, 3, patch, patch), d.Zeros(Float32, width, width), d.Zeros(Float32, width)
	for _, t := range []*Tensor{kernel, weight, ones} {
		t.RequireGrad(Collected)
	}
	var loss *Tensor
	d.Autocast(dtype, func() {
		x := pixels.Conv2d(kernel, ones, patch).Reshape(1, width, rows).Transpose(1, 2)
		x = x.LayerNorm(ones, ones, 1e-5).Linear(weight, ones)
		q := x.Reshape(1, rows, 1, width).Transpose(1, 2)
		x = Attend(q, q, q, nil, 0).Transpose(1, 2).Reshape(rows, width).Activate(GELU).Linear(weight, nil)
		loss = x.To(Float32).CrossEntropy(d.Ints(make([]int64, rows), rows), ReduceSum, -100, 0)
	})
	loss.Backward()
}
