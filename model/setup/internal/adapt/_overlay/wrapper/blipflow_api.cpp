// blipflow's additions to gotch's C wrapper; blipflow_api.h says what each
// does. Compiled by the set-up into the same static library as torch_api.cpp.

#include "blipflow_api.h"

#include <ATen/Context.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

extern thread_local char *torch_last_err; // defined by torch_api.cpp

namespace {

// protect runs f and turns an exception into gotch's last error.
template <typename F> void protect(F f) {
  try {
    f();
  } catch (const std::exception &e) {
    torch_last_err = strdup(e.what());
  }
}

// load_cuda loads libtorch_cuda.so from beside libtorch_cpu.so if it is there.
// Nothing links against it, so that a program built where there is no CUDA
// runs where there is, and the other way round. Its static initialisers
// register the CUDA backend. CUDA_VISIBLE_DEVICES set to nothing or to -1, the
// usual way to hide the devices, also saves the time of loading it.
std::string load_cuda() {
  const char *visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible && (!*visible || !std::strcmp(visible, "-1")))
    return "";
  Dl_info info;
  if (!dladdr(reinterpret_cast<void *>(&at::globalContext), &info) ||
      !info.dli_fname)
    return "";
  std::string path(info.dli_fname);
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return "";
  path.replace(slash, std::string::npos, "/libtorch_cuda.so");
  struct stat st;
  if (stat(path.c_str(), &st) != 0)
    return "";
  if (dlopen(path.c_str(), RTLD_LAZY | RTLD_GLOBAL))
    return "";
  const char *why = dlerror();
  return why ? why : "dlopen failed";
}

const std::string cuda_load_error = load_cuda();

c10::DeviceType autocast_device(int cuda) {
  return cuda ? at::kCUDA : at::kCPU;
}

} // namespace

// The autocast functions that take a device came with 2.4.
#define BF_AUTOCAST_BY_DEVICE                                                  \
  (TORCH_VERSION_MAJOR > 2 ||                                                  \
   (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4))

const char *bf_torch_version(void) { return TORCH_VERSION; }

int bf_grad_enabled(void) { return at::GradMode::is_enabled() ? 1 : 0; }

void bf_set_grad_enabled(int enabled) { at::GradMode::set_enabled(enabled); }

void *bf_inference_mode_enter(void) {
  void *guard = nullptr;
  protect([&] { guard = new c10::InferenceMode(true); });
  return guard;
}

void bf_inference_mode_leave(void *handle) {
  delete static_cast<c10::InferenceMode *>(handle);
}

int bf_num_threads(void) { return at::get_num_threads(); }

void bf_set_num_threads(int n) {
  protect([&] { at::set_num_threads(n); });
}

void bf_manual_seed(int64_t seed) {
  protect([&] { torch::manual_seed(static_cast<uint64_t>(seed)); });
}

void *bf_cpu_generator_state(void) {
  void *state = nullptr;
  protect([&] {
    auto generator = at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    state = new at::Tensor(generator.get_state());
  });
  return state;
}

void bf_set_cpu_generator_state(void *state) {
  protect([&] {
    auto generator = at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(*static_cast<at::Tensor *>(state));
  });
}

int bf_autocast_enabled(int cuda) {
#if BF_AUTOCAST_BY_DEVICE
  return at::autocast::is_autocast_enabled(autocast_device(cuda)) ? 1 : 0;
#else
  return (cuda ? at::autocast::is_enabled() : at::autocast::is_cpu_enabled())
             ? 1
             : 0;
#endif
}

void bf_set_autocast(int cuda, int enabled, int kind) {
  protect([&] {
    auto dtype = static_cast<at::ScalarType>(kind);
#if BF_AUTOCAST_BY_DEVICE
    auto device = autocast_device(cuda);
    if (enabled)
      at::autocast::set_autocast_dtype(device, dtype);
    at::autocast::set_autocast_enabled(device, enabled);
#else
    if (cuda) {
      if (enabled)
        at::autocast::set_autocast_gpu_dtype(dtype);
      at::autocast::set_enabled(enabled);
    } else {
      if (enabled)
        at::autocast::set_autocast_cpu_dtype(dtype);
      at::autocast::set_cpu_enabled(enabled);
    }
#endif
    if (!enabled)
      at::autocast::clear_cache();
  });
}

void bf_set_float32_matmul_precision(const char *precision) {
  protect([&] { at::globalContext().setFloat32MatmulPrecision(precision); });
}

void *bf_attention(void *query, void *key, void *value, void *mask,
                   double dropout) {
  void *made = nullptr;
  protect([&] {
    auto tensor = [](void *t) -> at::Tensor & { return *static_cast<at::Tensor *>(t); };
    auto &q = tensor(query), &k = tensor(key), &v = tensor(value);
    made = new at::Tensor(
        mask ? at::scaled_dot_product_attention(q, k, v, tensor(mask), dropout)
             : at::scaled_dot_product_attention(q, k, v, {}, dropout));
  });
  return made;
}

void bf_set_deterministic(int on) {
  protect([&] {
    at::globalContext().setDeterministicAlgorithms(on, /*warn_only=*/false);
  });
}

void bf_backward(void **tensors, void **gradients, int64_t n, int keep_graph) {
  protect([&] {
    std::vector<at::Tensor> roots, seeds;
    for (int64_t i = 0; i < n; i++) {
      roots.push_back(*static_cast<at::Tensor *>(tensors[i]));
      seeds.push_back(gradients[i] ? *static_cast<at::Tensor *>(gradients[i])
                                   : at::Tensor());
    }
    torch::autograd::backward(roots, seeds, keep_graph != 0);
  });
}

void *bf_tensor_of_blob(void *data, const int64_t *sizes, int64_t dims,
                        const int64_t *strides, int kind) {
  void *tensor = nullptr;
  protect([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(kind));
    at::IntArrayRef shape(sizes, dims);
    if (strides)
      tensor = new at::Tensor(torch::from_blob(
          data, shape, at::IntArrayRef(strides, dims), options));
    else
      tensor = new at::Tensor(torch::from_blob(data, shape, options));
  });
  return tensor;
}

const char *bf_cuda_load_error(void) {
  return cuda_load_error.empty() ? nullptr : cuda_load_error.c_str();
}
