// blipflow's additions to gotch's C wrapper; blipflow_api.h says what each
// does. Compiled by the set-up into the same static library as torch_api.cpp.

#include "blipflow_api.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

extern thread_local char *torch_last_err; // defined by torch_api.cpp

namespace {

// protect runs f and turns an exception into gotch's last error.
template <typename F> void protect(F f) {
  try {
    f();
  } catch (const std::exception &e) {
    torch_last_err = strdup(e.what());
  } catch (...) {
    torch_last_err = strdup("an exception that is no std::exception");
  }
}

at::Tensor &held(void *handle) { return *static_cast<at::Tensor *>(handle); }

std::vector<at::Tensor> held_all(void **handles, int64_t n) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(n);
  for (int64_t i = 0; i < n; i++)
    tensors.push_back(held(handles[i]));
  return tensors;
}

const at::Generator &generator(int cuda) {
  return at::globalContext().defaultGenerator(
      cuda < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, cuda));
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

// LinearAgain has the backward pass of a linear layer without the values of its
// forward pass: zeros stand for them.
struct LinearAgain : torch::autograd::Function<LinearAgain> {
  static at::Tensor forward(torch::autograd::AutogradContext *context,
                            const at::Tensor &x, const at::Tensor &weight,
                            const at::Tensor &bias) {
    context->save_for_backward({x, weight});
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return at::zeros({1}, x.options()).expand(shape);
  }

  static torch::autograd::variable_list
  backward(torch::autograd::AutogradContext *context,
           torch::autograd::variable_list gradients) {
    auto saved = context->get_saved_variables();
    auto &x = saved[0], &weight = saved[1];
    auto gradient = gradients[0].reshape({-1, weight.size(0)});
    at::Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0))
      of_x = gradient.mm(weight).view(x.sizes());
    if (context->needs_input_grad(1))
      of_weight = gradient.t().mm(x.reshape({-1, weight.size(1)}));
    if (context->needs_input_grad(2))
      of_bias = gradient.sum(0);
    return {of_x, of_weight, of_bias};
  }
};

// Pool is an allocator of the CPU's memory that goes on using the large blocks
// that it got from the system. A new block costs a page fault and a cleared
// page for each of its pages, at first touch: a tenth of a training step.
//
// What it holds, used and idle, is never more than was in use at once before:
// a process needs no more memory with it than without, and fragmentation, which
// costs malloc a quarter of a training step's memory, can't grow, since blocks
// are neither cut nor joined. Nor is more idle than in use, so that a process
// that is done with a model gives its memory back.
class Pool final : public c10::Allocator {
public:
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  c10::DataPtr allocate(size_t n) override { return make(n); }
#else
  c10::DataPtr allocate(size_t n) const override {
    return const_cast<Pool *>(this)->make(n);
  }
#endif
  c10::DeleterFnPtr raw_deleter() const override { return &Pool::release; }
  void copy_data(void *to, const void *from, std::size_t n) const {
    std::memcpy(to, from, n);
  }

  void read(int64_t *used, int64_t *idle, int64_t *most) {
    std::lock_guard<std::mutex> lock(mutex_);
    *used = used_;
    *idle = idle_;
    *most = most_;
  }

  void forget() {
    std::lock_guard<std::mutex> lock(mutex_);
    most_ = used_;
    trim(0);
  }

private:
  struct Block {
    void *at;
    size_t size;
    uint64_t freed; // a clock of releases
  };

  static constexpr size_t page = 4096, huge = 2 << 20;
  static constexpr size_t large = 1 << 20; // smaller blocks are malloc's

  std::mutex mutex_;
  std::unordered_map<void *, size_t> sizes_;      // of the blocks in use
  std::multimap<size_t, Block> free_;             // the idle ones, by size
  std::map<uint64_t, std::multimap<size_t, Block>::iterator> by_age_;
  size_t used_ = 0, idle_ = 0, most_ = 0;
  uint64_t clock_ = 0;

  c10::DataPtr make(size_t n) {
    void *at = nullptr;
    c10::DeleterFnPtr deleter = &Pool::release;
    if (n >= large) {
      at = take((n + page - 1) / page * page);
    } else if (n > 0) {
      at = c10::alloc_cpu(n);
      deleter = &c10::free_cpu; // needs no look-up
    }
    return {at, at, deleter, c10::Device(c10::kCPU)};
  }

  void *take(size_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    void *at = nullptr;
    auto fit = free_.lower_bound(size);
    if (fit != free_.end() && fit->first - size <= size / 16) {
      at = fit->second.at;
      size = fit->first;
      remove(fit);
    } else {
      most_ = std::max(most_, used_ + size);
      trim(most_ - used_ - size);
      at = map(size);
      if (!at) {
        trim(0);
        at = map(size);
      }
      TORCH_CHECK(at, "can't allocate memory: ", size, " bytes asked for, ",
                  used_, " in use");
    }
    sizes_.emplace(at, size);
    used_ += size;
    most_ = std::max(most_, used_);
    return at;
  }

  void give(void *at) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto entry = sizes_.find(at);
    size_t size = entry->second;
    sizes_.erase(entry);
    used_ -= size;
    auto placed = free_.emplace(size, Block{at, size, clock_});
    by_age_.emplace(clock_++, placed);
    idle_ += size;
    trim(std::min(most_ - used_, used_));
  }

  // trim returns the blocks that were idle for longest until at most so many
  // bytes are.
  void trim(size_t most) {
    while (idle_ > most) {
      auto oldest = by_age_.begin()->second;
      Block block = oldest->second;
      remove(oldest);
      munmap(block.at, block.size);
    }
  }

  void remove(std::multimap<size_t, Block>::iterator entry) {
    idle_ -= entry->first;
    by_age_.erase(entry->second.freed);
    free_.erase(entry);
  }

  // map gets a block whose huge pages are whole, or null.
  static void *map(size_t size) {
    size_t whole = size >= huge ? size + huge : size;
    void *got = mmap(nullptr, whole, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
      return nullptr;
    if (whole == size)
      return got;
    auto start = reinterpret_cast<uintptr_t>(got);
    auto at = (start + huge - 1) / huge * huge;
    if (at > start)
      munmap(got, at - start);
    if (at + size < start + whole)
      munmap(reinterpret_cast<void *>(at + size), start + whole - at - size);
#ifdef MADV_HUGEPAGE
    madvise(reinterpret_cast<void *>(at), size, MADV_HUGEPAGE);
#endif
    return reinterpret_cast<void *>(at);
  }

  static void release(void *at);
};

// pool is never destroyed: tensors may outlive the program's main function.
Pool &pool() {
  static Pool *only = new Pool;
  return *only;
}

void Pool::release(void *at) {
  if (!at)
    return;
  {
    std::lock_guard<std::mutex> lock(pool().mutex_);
    if (pool().sizes_.find(at) == pool().sizes_.end()) {
      c10::free_cpu(at);
      return;
    }
  }
  pool().give(at);
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

void *bf_generator_state(int cuda) {
  void *state = nullptr;
  protect([&] {
    auto source = generator(cuda);
    std::lock_guard<std::mutex> lock(source.mutex());
    state = new at::Tensor(source.get_state());
  });
  return state;
}

void bf_set_generator_state(int cuda, void *state) {
  protect([&] {
    auto source = generator(cuda);
    std::lock_guard<std::mutex> lock(source.mutex());
    source.set_state(held(state));
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
    at::autocast::set_autocast_cache_enabled(!enabled);
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
    auto &q = held(query), &k = held(key), &v = held(value);
    made = new at::Tensor(
        mask ? at::scaled_dot_product_attention(q, k, v, held(mask), dropout)
             : at::scaled_dot_product_attention(q, k, v, {}, dropout));
  });
  return made;
}

void *bf_linear_again(void *x, void *weight, void *bias) {
  void *made = nullptr;
  protect([&] {
    made = new at::Tensor(LinearAgain::apply(
        held(x), held(weight), bias ? held(bias) : at::Tensor()));
  });
  return made;
}

void bf_pool(void) {
  protect([&] { c10::SetCPUAllocator(&pool(), /*priority=*/1); });
}

void bf_pool_bytes(int64_t *used, int64_t *idle, int64_t *most) {
  pool().read(used, idle, most);
}

void bf_pool_forget(void) { pool().forget(); }

void bf_set_deterministic(int on) {
  protect([&] {
    at::globalContext().setDeterministicAlgorithms(on, /*warn_only=*/false);
  });
}

void bf_backward(void **tensors, void **gradients, int64_t n, int keep_graph) {
  protect([&] {
    std::vector<at::Tensor> roots, seeds;
    for (int64_t i = 0; i < n; i++) {
      roots.push_back(held(tensors[i]));
      seeds.push_back(gradients[i] ? held(gradients[i]) : at::Tensor());
    }
    torch::autograd::backward(roots, seeds, keep_graph != 0);
  });
}

void bf_forget_grad(void *t) {
  protect([&] { held(t).mutable_grad().reset(); });
}

void *bf_norm(void **tensors, int64_t n) {
  void *norm = nullptr;
  protect([&] {
    norm = new at::Tensor(
        at::linalg_vector_norm(at::stack(at::_foreach_norm(held_all(tensors, n), 2)), 2));
  });
  return norm;
}

void bf_scale(void **tensors, int64_t n, double factor) {
  protect([&] { at::_foreach_mul_(held_all(tensors, n), factor); });
}

int bf_unscale(void **tensors, int64_t n, double factor) {
  int finite = 0;
  protect([&] {
    auto all = held_all(tensors, n);
    auto options = all[0].options().dtype(at::kFloat);
    auto found = at::zeros({1}, options);
    at::_amp_foreach_non_finite_check_and_unscale_(
        all, found, at::full({1}, factor, options));
    finite = found.item<float>() == 0 ? 1 : 0;
  });
  return finite;
}

void bf_adamw(void **params, void **grads, void **means, void **squares,
              int64_t n, double step, double rate, double beta1, double beta2,
              double eps, double decay) {
  protect([&] {
    auto of = held_all(params, n);
    std::vector<at::Tensor> steps(
        n, at::full({}, step, of[0].options().dtype(at::kFloat)));
    at::_fused_adamw_(of, held_all(grads, n), held_all(means, n), held_all(squares, n), {},
                      steps, rate, beta1, beta2, decay, eps, /*amsgrad=*/false,
                      /*maximize=*/false);
  });
}

void bf_lerp(void **tensors, void **ends, int64_t n, double share) {
  protect([&] {
    at::_foreach_lerp_(held_all(tensors, n), held_all(ends, n), share);
  });
}

int bf_compute_capability(int device) {
  // The library came with libtorch_cuda.so, which nothing links against.
  using query = int (*)(int *, int, int);
  auto get = reinterpret_cast<query>(dlsym(RTLD_DEFAULT, "cudaDeviceGetAttribute"));
  const int major_attribute = 75, minor_attribute = 76;
  int major = 0, minor = 0;
  if (!get || get(&major, major_attribute, device) != 0 ||
      get(&minor, minor_attribute, device) != 0)
    return 0;
  return 10 * major + minor;
}

void *bf_tensor_of_blob(void *data, const int64_t *sizes, int64_t dims,
                        const int64_t *strides, int kind) {
  void *made = nullptr;
  protect([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(kind));
    at::IntArrayRef shape(sizes, dims);
    if (strides)
      made = new at::Tensor(torch::from_blob(
          data, shape, at::IntArrayRef(strides, dims), options));
    else
      made = new at::Tensor(torch::from_blob(data, shape, options));
  });
  return made;
}

const char *bf_cuda_load_error(void) {
  return cuda_load_error.empty() ? nullptr : cuda_load_error.c_str();
}
