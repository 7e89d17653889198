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

/* State of the default generator of the CPU (cuda < 0) or of a CUDA device, a
 * byte tensor (torch.get_rng_state, torch.cuda.get_rng_state). */
void *bf_generator_state(int cuda);
void bf_set_generator_state(int cuda, void *state);

/* Autocast of the calling thread. cuda is 0 for the CPU, 1 for CUDA; kind is a
 * c10::ScalarType. Cast weights are not remembered from op to op: a copy cast
 * where no graph is recorded would cut the graph of a later op that finds it. */
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

/* Makes a leaf's gradient undefined (zero_grad(set_to_none=True)). */
void bf_forget_grad(void *tensor);

/* The lists below have n tensors each. bf_norm is the Euclidean norm of all
 * elements of a list, a scalar tensor. bf_scale multiplies by factor.
 * bf_unscale does and says whether all elements are finite: 0 or 1. */
void *bf_norm(void **tensors, int64_t n);
void bf_scale(void **tensors, int64_t n, double factor);
int bf_unscale(void **tensors, int64_t n, double factor);

/* A step of torch.optim.AdamW(fused=True); step counts from 1. */
void bf_adamw(void **params, void **grads, void **means, void **squares,
              int64_t n, double step, double rate, double beta1, double beta2,
              double eps, double decay);

/* Moves each tensor towards its end by a share: t + share * (end - t). */
void bf_lerp(void **tensors, void **ends, int64_t n, double share);

/* Compute capability of a CUDA device, 80 for 8.0; 0 where it is not known. */
int bf_compute_capability(int device);

/* A linear layer for its backward pass alone: the values of the result are 0,
 * the gradients those of the layer. bias may be NULL. Not for autocast. */
void *bf_linear_again(void *x, void *weight, void *bias);

/* Puts the CPU's memory under an allocator that goes on using its blocks, from
 * here on. Its bytes in large blocks: in use, idle, and the most that were in
 * use at once. bf_pool_forget gives the idle ones back, and lets the most begin
 * anew from what is in use. */
void bf_pool(void);
void bf_pool_bytes(int64_t *used, int64_t *idle, int64_t *most);
void bf_pool_forget(void);

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
