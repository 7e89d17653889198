/* What blipflow needs of libtorch and gotch's own C wrapper lacks.
 *
 * Included by blipflow.go as C and by blipflow_api.cpp as C++. Every function
 * that can fail leaves its message in gotch's thread-local torch_last_err, as
 * the rest of the wrapper does: read it on the same OS thread. */
#ifndef BLIPFLOW_API_H
#define BLIPFLOW_API_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The libtorch this was compiled against, "2.11.0". Never freed. */
const char *bf_torch_version(void);

/* Gradient recording of the calling thread: 0 or 1. */
int bf_grad_enabled(void);
void bf_set_grad_enabled(int enabled);

/* Inference mode holds from enter until its handle is given to leave, on one
 * thread, properly nested. */
void *bf_inference_mode_enter(void);
void bf_inference_mode_leave(void *handle);

/* Threads used inside one op. */
int bf_num_threads(void);
void bf_set_num_threads(int n);

/* Seeds the CPU's default generator, and every CUDA device's where there is
 * one. */
void bf_manual_seed(int64_t seed);

/* State of the CPU's default generator, a byte tensor (torch.get_rng_state). */
void *bf_cpu_generator_state(void);
void bf_set_cpu_generator_state(void *state);

/* Autocast of the calling thread. cuda is 0 for the CPU, 1 for CUDA; kind is a
 * c10::ScalarType. Switching it off clears the cache of cast weights. */
int bf_autocast_enabled(int cuda);
void bf_set_autocast(int cuda, int enabled, int kind);

/* "highest", "high" or "medium", as torch.set_float32_matmul_precision. */
void bf_set_float32_matmul_precision(const char *precision);

/* 1: ops without a deterministic form fail, as
 * torch.use_deterministic_algorithms(True). */
void bf_set_deterministic(int on);

/* Backward from n tensors with their n gradients (NULL for that of a scalar).
 * Accumulates into the leaves' grad, as torch.autograd.backward. */
void bf_backward(void **tensors, void **gradients, int64_t n, int keep_graph);

/* Scaled dot-product attention. mask may be NULL: gotch's wrapper passes an
 * undefined tensor for that, which newer libtorch refuses. */
void *bf_attention(void *query, void *key, void *value, void *mask,
                   double dropout);

/* A tensor over memory that somebody else owns and keeps alive. strides may be
 * NULL for a contiguous tensor. */
void *bf_tensor_of_blob(void *data, const int64_t *sizes, int64_t dims,
                        const int64_t *strides, int kind);

/* NULL, or why a libtorch_cuda.so beside libtorch_cpu.so could not be loaded.
 * Never freed. */
const char *bf_cuda_load_error(void);

#ifdef __cplusplus
}
#endif

#endif
