package ts

// What blipflow needs of libtorch and gotch does not bind. Grad mode, inference
// mode, autocast and the last error belong to the OS thread: call these on a
// goroutine locked to its thread (runtime.LockOSThread).

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/sugarme/gotch"
	lib "github.com/sugarme/gotch/libtch"
)

// LiveTensors is the number of tensors made and not dropped. In this adapted
// copy a tensor has no finalizer: what is not dropped stays for ever.
func LiveTensors() int64 { return atomic.LoadInt64(&TensorCount) }

// LiveScalars is the number of scalars neither dropped nor collected.
func LiveScalars() int64 { return atomic.LoadInt64(&ScalarCount) }

// TorchVersion is the libtorch this was compiled against, "2.11.0".
func TorchVersion() string { return lib.BfTorchVersion() }

// GradEnabled tells whether the calling thread records gradients.
func GradEnabled() bool { return lib.BfGradEnabled() }

// SetGradEnabled switches the calling thread's recording of gradients and
// returns what it was.
func SetGradEnabled(enabled bool) (was bool) {
	was = lib.BfGradEnabled()
	lib.BfSetGradEnabled(enabled)
	return was
}

// InferenceMode enters inference mode on the calling thread; leave ends it, on
// the same thread. Tensors made inside can't take part in a backward pass.
func InferenceMode() (leave func(), err error) {
	handle := lib.BfInferenceModeEnter()
	if err := TorchErr(); err != nil {
		return nil, err
	}
	return func() {
		lib.BfInferenceModeLeave(handle)
		handle = nil
	}, nil
}

// NumThreads is the number of threads that one op may use.
func NumThreads() int { return lib.BfNumThreads() }

// SetNumThreads sets the number of threads that one op may use.
func SetNumThreads(n int) error {
	lib.BfSetNumThreads(n)
	return TorchErr()
}

// ManualSeed seeds the default generator of the CPU and of every CUDA device.
func ManualSeed(seed int64) error {
	lib.BfManualSeed(seed)
	return TorchErr()
}

// GeneratorState returns the state of a device's default generator, a tensor of
// bytes.
func GeneratorState(device gotch.Device) (*Tensor, error) {
	return owned(lib.BfGeneratorState(cudaIndex(device)))
}

// SetGeneratorState sets what GeneratorState gave.
func SetGeneratorState(device gotch.Device, state *Tensor) error {
	lib.BfSetGeneratorState(cudaIndex(device), state.ctensor)
	return TorchErr()
}

func cudaIndex(device gotch.Device) int {
	if !device.IsCuda() {
		return -1
	}
	return device.Value
}

// AutocastEnabled tells whether the calling thread autocasts on the device's
// kind.
func AutocastEnabled(device gotch.Device) bool {
	return lib.BfAutocastEnabled(device.IsCuda())
}

// EnableAutocast casts the arguments of matrix products and convolutions on the
// device's kind to dtype from here on, on the calling thread.
func EnableAutocast(device gotch.Device, dtype gotch.DType) error {
	lib.BfSetAutocast(device.IsCuda(), true, dtype.CKind())
	return TorchErr()
}

// DisableAutocast ends EnableAutocast.
func DisableAutocast(device gotch.Device) error {
	lib.BfSetAutocast(device.IsCuda(), false, 0)
	return TorchErr()
}

// SetFloat32MatmulPrecision takes "highest", "high" (TF32) or "medium"
// (bfloat16), for the whole process.
func SetFloat32MatmulPrecision(precision string) error {
	lib.BfSetFloat32MatmulPrecision(precision)
	return TorchErr()
}

// SetDeterministic makes ops without a deterministic form fail, for the whole
// process.
func SetDeterministic(on bool) error {
	lib.BfSetDeterministic(on)
	return TorchErr()
}

// BackwardWith runs backward from tensors with the gradients that reached them;
// a nil gradient stands for 1 of a scalar. It adds to the leaves' gradients.
func BackwardWith(tensors, gradients []*Tensor, keepGraph bool) error {
	if len(tensors) == 0 || len(tensors) != len(gradients) {
		return fmt.Errorf("BackwardWith: %d tensors, %d gradients", len(tensors), len(gradients))
	}
	lib.BfBackward(handles(tensors), handles(gradients), keepGraph)
	return TorchErr()
}

// ForgetGrad makes a leaf's gradient undefined.
func ForgetGrad(t *Tensor) error {
	lib.BfForgetGrad(t.ctensor)
	return TorchErr()
}

// NormOf is the Euclidean norm of all elements of a list, a scalar tensor.
func NormOf(tensors []*Tensor) (*Tensor, error) { return owned(lib.BfNorm(handles(tensors))) }

// ScaleAll multiplies a list by factor.
func ScaleAll(tensors []*Tensor, factor float64) error {
	lib.BfScale(handles(tensors), factor)
	return TorchErr()
}

// Unscale multiplies a list by factor and tells whether all of it is finite.
func Unscale(tensors []*Tensor, factor float64) (finite bool, err error) {
	finite = lib.BfUnscale(handles(tensors), factor)
	return finite, TorchErr()
}

// FusedAdamW is a step of torch.optim.AdamW(fused=True) over lists of one length;
// step counts from 1.
func FusedAdamW(params, grads, means, squares []*Tensor, step, rate, beta1, beta2, eps, decay float64) error {
	if n := len(params); len(grads) != n || len(means) != n || len(squares) != n {
		return fmt.Errorf("FusedAdamW: %d parameters, %d gradients, %d means, %d squares", n, len(grads), len(means), len(squares))
	}
	lib.BfAdamW(handles(params), handles(grads), handles(means), handles(squares), step, rate, beta1, beta2, eps, decay)
	return TorchErr()
}

// LerpAll moves each tensor towards its end by a share: t + share·(end − t).
func LerpAll(tensors, ends []*Tensor, share float64) error {
	if len(tensors) != len(ends) {
		return fmt.Errorf("LerpAll: %d tensors, %d ends", len(tensors), len(ends))
	}
	lib.BfLerp(handles(tensors), handles(ends), share)
	return TorchErr()
}

// ComputeCapability is that of a CUDA device, 80 for 8.0; 0 where it is not
// known.
func ComputeCapability(device gotch.Device) int {
	if !device.IsCuda() {
		return 0
	}
	return lib.BfComputeCapability(device.Value)
}

// LinearAgain is Linear for its backward pass alone: the values of the result are
// 0, the gradients those of Linear. bias may be nil. Not for autocast.
func LinearAgain(x, weight, bias *Tensor) (*Tensor, error) {
	var cbias lib.Ctensor
	if bias != nil {
		cbias = bias.ctensor
	}
	return owned(lib.BfLinearAgain(x.ctensor, weight.ctensor, cbias))
}

// Pool puts the CPU's memory, of tensors made from here on, under an allocator
// that goes on using its blocks.
func Pool() error {
	lib.BfPool()
	return TorchErr()
}

// PoolBytes are the pool's bytes in large blocks: in use, idle, and the most
// that were in use at once.
func PoolBytes() (used, idle, most int64) { return lib.BfPoolBytes() }

// PoolForget gives the idle blocks back to the system, and lets the most that
// were in use begin anew from what is.
func PoolForget() { lib.BfPoolForget() }

// Attention is scaled dot-product attention of query [B N T H] over key and
// value [B N S H]. mask, which is added to the scores, may be nil:
// ScaledDotProductAttention passes an undefined tensor for that, which newer
// libtorch refuses.
func Attention(query, key, value, mask *Tensor, dropout float64) (*Tensor, error) {
	var cmask lib.Ctensor
	if mask != nil {
		cmask = mask.ctensor
	}
	return owned(lib.BfAttention(query.ctensor, key.ctensor, value.ctensor, cmask, dropout))
}

// OfBlob makes a tensor over memory of the caller's, who keeps it alive and in
// its place (C memory or a mapped file) for as long as any tensor views it. It
// is never written to unless an in-place op is called on the tensor. nil
// strides mean contiguous.
func OfBlob(data unsafe.Pointer, shape, strides []int64, dtype gotch.DType) (*Tensor, error) {
	if strides != nil && len(strides) != len(shape) {
		return nil, fmt.Errorf("OfBlob: %d sizes, %d strides", len(shape), len(strides))
	}
	return owned(lib.BfTensorOfBlob(data, shape, strides, dtype.CKind()))
}

// Element is a Go type with a torch dtype. Half and BFloat16 travel as uint16
// bits: give their dtype explicitly.
type Element interface {
	~uint8 | ~int8 | ~int16 | ~uint16 | ~int32 | ~int64 | ~float32 | ~float64 | ~bool
}

// OfElements makes a CPU tensor with a copy of data.
func OfElements[T Element](data []T, shape []int64, dtype gotch.DType) (*Tensor, error) {
	var zero T
	if uint(unsafe.Sizeof(zero)) != dtype.Size() {
		return nil, fmt.Errorf("OfElements: a %T is not as wide as dtype %v", zero, dtype)
	}
	if n := FlattenDim(shape); n != len(data) {
		return nil, fmt.Errorf("OfElements: shape %v holds %d elements, not %d", shape, n, len(data))
	}
	made := lib.AtTensorOfData(unsafe.Pointer(unsafe.SliceData(data)), shape,
		uint(len(shape)), dtype.Size(), int(dtype.CKind()))
	runtime.KeepAlive(data)
	return owned(made)
}

// CopyElements copies a whole tensor, on any device and of any strides, into
// dst in row-major order. dst has as many elements as the tensor, each as wide
// as the tensor's.
func CopyElements[T Element](dst []T, from *Tensor) error {
	var zero T
	dtype := from.DType()
	if uint(unsafe.Sizeof(zero)) != dtype.Size() {
		return fmt.Errorf("CopyElements: a %T is not as wide as dtype %v", zero, dtype)
	}
	shape, err := from.Size()
	if err != nil {
		return err
	}
	if n := FlattenDim(shape); n != len(dst) {
		return fmt.Errorf("CopyElements: the tensor has %d elements, the slice %d", n, len(dst))
	}
	if len(dst) == 0 {
		return nil
	}
	lib.AtCopyData(from.ctensor, unsafe.Pointer(&dst[0]), uint(len(dst)), dtype.Size())
	runtime.KeepAlive(dst)
	return TorchErr()
}

// CUDALoadError says why a libtorch_cuda.so beside libtorch_cpu.so could not be
// loaded; nil where it was, or where there is none.
func CUDALoadError() error {
	if why := lib.BfCUDALoadError(); why != "" {
		return errors.New(why)
	}
	return nil
}

// owned wraps a tensor that libtorch has just made, or returns its error.
func owned(made lib.Ctensor) (*Tensor, error) {
	if err := TorchErr(); err != nil {
		return nil, err
	}
	return newTensor(made), nil
}

// takeTensors wraps a C array of tensors that ends with a null, and frees the
// array.
func takeTensors(array *lib.Ctensor) []*Tensor {
	var tensors []*Tensor
	for at := array; *at != nil; at = (*lib.Ctensor)(unsafe.Add(unsafe.Pointer(at), unsafe.Sizeof(*at))) {
		tensors = append(tensors, newTensor(*at))
	}
	freeArray(array)
	return tensors
}

func handles(tensors []*Tensor) []lib.Ctensor {
	made := make([]lib.Ctensor, len(tensors))
	for i, t := range tensors {
		if t != nil {
			made[i] = t.ctensor
		}
	}
	return made
}
