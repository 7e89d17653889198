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

// BfCPUGeneratorState returns a new tensor with the CPU generator's state.
func BfCPUGeneratorState() Ctensor { return Ctensor(C.bf_cpu_generator_state()) }

// BfSetCPUGeneratorState sets the CPU generator's state.
func BfSetCPUGeneratorState(state Ctensor) {
	C.bf_set_cpu_generator_state(unsafe.Pointer(state))
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
	C.bf_backward((*unsafe.Pointer)(unsafe.SliceData(tensors)),
		(*unsafe.Pointer)(unsafe.SliceData(gradients)),
		C.int64_t(len(tensors)), cbool(keepGraph))
}

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

func cbool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
