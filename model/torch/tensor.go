package torch

import (
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/sugarme/gotch"
	lib "github.com/sugarme/gotch/libtch"
	"github.com/sugarme/gotch/ts"
)

// DType is the type of a tensor's elements.
type DType = gotch.DType

// The element types that BLIP's checkpoints and batches have.
const (
	Float32  DType = gotch.Float
	Float64  DType = gotch.Double
	Float16  DType = gotch.Half
	BFloat16 DType = gotch.BFloat16
	Int64    DType = gotch.Int64
	Int32    DType = gotch.Int
	Int16    DType = gotch.Int16
	Int8     DType = gotch.Int8
	Uint8    DType = gotch.Uint8
	Bool     DType = gotch.Bool
)

// Tensor is a libtorch tensor on a device. All methods run inside the device's
// Run; results belong to the innermost scope.
type Tensor struct {
	c    *ts.Tensor
	dev  *Device
	kept bool
}

type scope struct{ owned []*Tensor }

var live atomic.Int64

// Live counts the tensors of this process that were made and not yet freed.
func Live() int64 { return live.Load() }

// wrap records a result of libtorch in the innermost scope.
func (d *Device) wrap(op string, c *ts.Tensor, err error) *Tensor {
	if err != nil {
		panic(&opError{op: op, err: trimTrace(err)})
	}
	t := &Tensor{c: c, dev: d}
	live.Add(1)
	top := d.scopes[len(d.scopes)-1]
	top.owned = append(top.owned, t)
	return t
}

// trimTrace drops the two stacks that gotch and libtorch add to each message:
// the operation's name and libtorch's first lines say more.
func trimTrace(err error) error {
	s := strings.TrimPrefix(err.Error(), "Libtorch API Error: ")
	for _, mark := range []string{"\nException raised from", "\ngoroutine "} {
		if i := strings.Index(s, mark); i >= 0 {
			s = s[:i]
		}
	}
	return fmt.Errorf("%s", strings.TrimSpace(s))
}

func (d *Device) closeScope() {
	top := d.scopes[len(d.scopes)-1]
	d.scopes = d.scopes[:len(d.scopes)-1]
	for _, t := range top.owned {
		if !t.kept {
			t.release()
		}
	}
}

func (t *Tensor) release() {
	if t.c == nil {
		return
	}
	_ = t.c.Drop() // freeing a handle has nothing to report that could be mended
	t.c = nil
	live.Add(-1)
}

// Tidy runs fn and frees what it made, except its result, which moves to the
// scope around. In a Training run the graph itself keeps what the backward
// pass needs.
func Tidy(d *Device, fn func() *Tensor) *Tensor {
	depth := len(d.scopes)
	d.scopes = append(d.scopes, &scope{})
	var out *Tensor
	defer func() {
		for len(d.scopes) > depth {
			d.closeScopeExcept(out)
		}
	}()
	out = fn()
	return out
}

func (d *Device) closeScopeExcept(out *Tensor) {
	top := d.scopes[len(d.scopes)-1]
	if out != nil && !out.kept {
		for i, t := range top.owned {
			if t == out {
				top.owned = append(top.owned[:i], top.owned[i+1:]...)
				below := d.scopes[len(d.scopes)-2]
				below.owned = append(below.owned, out)
				break
			}
		}
	}
	d.closeScope()
}

// Keep takes the tensor out of its scope: it lives until Free.
func (t *Tensor) Keep() *Tensor {
	t.kept = true
	return t
}

// Free releases the tensor now. Freeing twice does nothing.
func (t *Tensor) Free() {
	if t != nil {
		t.release()
	}
}

// raw is the handle that libtorch's C functions take.
func (t *Tensor) raw() lib.Ctensor { return lib.Ctensor(t.c.Ctensor()) }

// Device is the tensor's device.
func (t *Tensor) Device() *Device { return t.dev }

// FromBytes copies data, the elements in row-major order and native byte
// order, into a new tensor. The data may be a view into a mapped file.
func (d *Device) FromBytes(data []byte, dtype DType, shape ...int64) *Tensor {
	want := elements(shape) * int64(dtype.Size())
	if int64(len(data)) != want {
		panic(&opError{op: "tensor of data", err: fmt.Errorf("%d bytes for shape %v of %d", len(data), shape, want)})
	}
	var p unsafe.Pointer
	if len(data) > 0 {
		p = unsafe.Pointer(&data[0])
	}
	c := lib.AtTensorOfData(p, shape, uint(len(shape)), dtype.Size(), int(dtype.CKind()))
	host := d.wrap("tensor of data", ts.FromCtensor(unsafe.Pointer(c)), ts.TorchErr())
	if d.kind == gotch.CPU {
		return host
	}
	moved, err := host.c.To(d.kind, false)
	return d.wrap("to device", moved, err)
}

// Floats copies a slice into a new float32 tensor.
func (d *Device) Floats(data []float32, shape ...int64) *Tensor {
	return d.FromBytes(bytesOf(data), Float32, shape...)
}

// Ints copies a slice into a new int64 tensor.
func (d *Device) Ints(data []int64, shape ...int64) *Tensor {
	return d.FromBytes(bytesOf(data), Int64, shape...)
}

func bytesOf[T float32 | int64 | int32 | uint8](data []T) []byte {
	if len(data) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&data[0])), len(data)*int(unsafe.Sizeof(data[0])))
}

func elements(shape []int64) int64 {
	n := int64(1)
	for _, s := range shape {
		n *= s
	}
	return n
}

// Zeros is a new tensor of zeros.
func (d *Device) Zeros(dtype DType, shape ...int64) *Tensor {
	c, err := ts.Zeros(shape, dtype, d.kind)
	return d.wrap("zeros", c, err)
}

// Shape is the tensor's size in each dimension.
func (t *Tensor) Shape() []int64 {
	s, err := t.c.Size()
	if err != nil {
		panic(&opError{op: "shape", err: trimTrace(err)})
	}
	return s
}

// Dim is the size in dimension i; a negative i counts from the last.
func (t *Tensor) Dim(i int) int64 {
	s := t.Shape()
	if i < 0 {
		i += len(s)
	}
	return s[i]
}

// DType is the type of the elements.
func (t *Tensor) DType() DType { return t.c.DType() }

// Bytes copies the tensor's elements out, in row-major order and native byte
// order.
func (t *Tensor) Bytes() []byte {
	out := make([]byte, elements(t.Shape())*int64(t.DType().Size()))
	t.copyOut(out, t.DType())
	return out
}

// Float32s copies the tensor out as float32.
func (t *Tensor) Float32s() []float32 {
	out := make([]float32, elements(t.Shape()))
	t.To(Float32).copyOut(bytesOf(out), Float32)
	return out
}

// CopyTo copies the tensor, converted to float32, into dst, which must have as
// many elements.
func (t *Tensor) CopyTo(dst []float32) {
	if int64(len(dst)) != elements(t.Shape()) {
		panic(&opError{op: "copy", err: fmt.Errorf("%d elements into a slice of %d", elements(t.Shape()), len(dst))})
	}
	t.To(Float32).copyOut(bytesOf(dst), Float32)
}

// Int64s copies the tensor out as int64.
func (t *Tensor) Int64s() []int64 {
	out := make([]int64, elements(t.Shape()))
	t.To(Int64).copyOut(bytesOf(out), Int64)
	return out
}

// Float is the value of a tensor of one element.
func (t *Tensor) Float() float64 {
	v := t.To(Float64)
	var out [1]float64
	v.copyOut(unsafe.Slice((*byte)(unsafe.Pointer(&out[0])), 8), Float64)
	return out[0]
}

// copyOut writes the elements, which are of type dtype, into dst.
func (t *Tensor) copyOut(dst []byte, dtype DType) {
	if len(dst) == 0 {
		return
	}
	lib.AtCopyData(t.raw(), unsafe.Pointer(&dst[0]), uint(len(dst))/dtype.Size(), dtype.Size())
	if err := ts.TorchErr(); err != nil {
		panic(&opError{op: "copy out", err: trimTrace(err)})
	}
}

// Size is how many bytes the elements take.
func (t *Tensor) Size() int64 { return elements(t.Shape()) * int64(t.DType().Size()) }
