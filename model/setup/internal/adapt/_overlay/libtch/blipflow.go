package libtch

// Bindings of blipflow_api.h, what gotch's own C wrapper lacks.

//#include <stdlib.h>
//#include "blipflow_api.h"
import "C"

import "unsafe"

// BfTorchVersion is the libtorch the wrapper was compiled against.
func BfTorchVersion() string { return C.GoString(C.bf_torch_version()) }

// BfGradEnabled tells whether the calling thread records gradients.
func BfGradEnabled() bool { return C.bf_grad_enabled() != 0 }

// BfSetGradEnabled switches the calling thread's recording of gradients.
func BfSetGradEnabled(enabled bool) { C.bf_set_grad_enabled(cbool(enabled)) }

// BfInferenceModeEnter enters inference mode on the calling thread.
func BfInferenceModeEnter() unsafe.Pointer { return C.bf_inference_mode_enter() }

// BfInferenceModeLeave ends what BfInferenceModeEnter began.
func BfInferenceModeLeave(handle unsafe.Pointer) { C.bf_inference_mode_leave(handle) }

// BfNumThreads is the number of threads used inside one op.
func BfNumThreads() int { return int(C.bf_num_threads()) }

// BfSetNumThreads sets the number of threads used inside one op.
func BfSetNumThreads(n int) { C.bf_set_num_threads(C.int(n)) }

// BfManualSeed seeds every device's default generator.
func BfManualSeed(seed int64) { C.bf_manual_seed(C.int64_t(seed)) }

// BfGeneratorState returns a new tensor with the state of a CUDA device's
// default generator, or the CPU's where cuda is negative.
func BfGeneratorState(cuda int) Ctensor { return Ctensor(C.bf_generator_state(C.int(cuda))) }

// BfSetGeneratorState sets what BfGeneratorState gave.
func BfSetGeneratorState(cuda int, state Ctensor) {
	C.bf_set_generator_state(C.int(cuda), unsafe.Pointer(state))
}

// BfAutocastEnabled tells whether the calling thread autocasts on a device.
func BfAutocastEnabled(cuda bool) bool { return C.bf_autocast_enabled(cbool(cuda)) != 0 }

// BfSetAutocast switches the calling thread's autocast on a device.
func BfSetAutocast(cuda, enabled bool, kind int32) {
	C.bf_set_autocast(cbool(cuda), cbool(enabled), C.int(kind))
}

// BfSetFloat32MatmulPrecision takes "highest", "high" or "medium".
func BfSetFloat32MatmulPrecision(precision string) {
	c := C.CString(precision)
	defer C.free(unsafe.Pointer(c))
	C.bf_set_float32_matmul_precision(c)
}

// BfSetDeterministic makes ops without a deterministic form fail.
func BfSetDeterministic(on bool) { C.bf_set_deterministic(cbool(on)) }

// BfBackward runs backward from tensors with their gradients; nil stands for
// the gradient of a scalar. The slices have one length.
func BfBackward(tensors, gradients []Ctensor, keepGraph bool) {
	C.bf_backward(list(tensors), list(gradients), C.int64_t(len(tensors)), cbool(keepGraph))
}

// BfForgetGrad makes a leaf's gradient undefined.
func BfForgetGrad(t Ctensor) { C.bf_forget_grad(unsafe.Pointer(t)) }

// BfNorm is the Euclidean norm of all elements of a list, a scalar tensor.
func BfNorm(tensors []Ctensor) Ctensor {
	return Ctensor(C.bf_norm(list(tensors), C.int64_t(len(tensors))))
}

// BfScale multiplies a list by factor.
func BfScale(tensors []Ctensor, factor float64) {
	C.bf_scale(list(tensors), C.int64_t(len(tensors)), C.double(factor))
}

// BfUnscale multiplies a list by factor and tells whether all of it is finite.
func BfUnscale(tensors []Ctensor, factor float64) bool {
	return C.bf_unscale(list(tensors), C.int64_t(len(tensors)), C.double(factor)) != 0
}

// BfAdamW is a step of the optimiser over lists of one length.
func BfAdamW(params, grads, means, squares []Ctensor, step, rate, beta1, beta2, eps, decay float64) {
	C.bf_adamw(list(params), list(grads), list(means), list(squares), C.int64_t(len(params)),
		C.double(step), C.double(rate), C.double(beta1), C.double(beta2), C.double(eps), C.double(decay))
}

// BfLerp moves each tensor towards its end by a share.
func BfLerp(tensors, ends []Ctensor, share float64) {
	C.bf_lerp(list(tensors), list(ends), C.int64_t(len(tensors)), C.double(share))
}

// BfComputeCapability is that of a CUDA device, 80 for 8.0; 0 for unknown.
func BfComputeCapability(device int) int { return int(C.bf_compute_capability(C.int(device))) }

// BfLinearAgain is a linear layer for its backward pass alone; bias may be nil.
func BfLinearAgain(x, weight, bias Ctensor) Ctensor {
	return Ctensor(C.bf_linear_again(unsafe.Pointer(x), unsafe.Pointer(weight), unsafe.Pointer(bias)))
}

// BfPool puts the CPU's memory under an allocator that goes on using its blocks.
func BfPool() { C.bf_pool() }

// BfPoolBytes are its bytes in use, idle, and the most that were in use at once.
func BfPoolBytes() (held, idle, most int64) {
	var h, i, m C.int64_t
	C.bf_pool_bytes(&h, &i, &m)
	return int64(h), int64(i), int64(m)
}

// BfPoolForget gives the idle blocks back and lets the most begin anew.
func BfPoolForget() { C.bf_pool_forget() }

// BfAttention is scaled dot-product attention; mask may be nil.
func BfAttention(query, key, value, mask Ctensor, dropout float64) Ctensor {
	return Ctensor(C.bf_attention(unsafe.Pointer(query), unsafe.Pointer(key), unsafe.Pointer(value),
		unsafe.Pointer(mask), C.double(dropout)))
}

// BfTensorOfBlob makes a tensor over memory that the caller keeps alive and in
// its place. strides may be nil for a contiguous tensor.
func BfTensorOfBlob(data unsafe.Pointer, sizes, strides []int64, kind int32) Ctensor {
	return Ctensor(C.bf_tensor_of_blob(data,
		(*C.int64_t)(unsafe.Pointer(unsafe.SliceData(sizes))), C.int64_t(len(sizes)),
		(*C.int64_t)(unsafe.Pointer(unsafe.SliceData(strides))), C.int(kind)))
}

// BfCUDALoadError says why a libtorch_cuda.so that is there was not loaded, or
// is empty.
func BfCUDALoadError() string {
	why := C.bf_cuda_load_error()
	if why == nil {
		return ""
	}
	return C.GoString(why)
}

func list(tensors []Ctensor) *unsafe.Pointer {
	return (*unsafe.Pointer)(unsafe.SliceData(tensors))
}

func cbool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
