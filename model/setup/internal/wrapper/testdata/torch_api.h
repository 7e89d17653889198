#include <torch/torch.h>
thread_local char *torch_last_err = nullptr;
extern "C" {
typedef torch::Tensor *tensor;
#define PROTECT(x)                                                             \
  try {                                                                        \
    x                                                                          \
  } catch (const std::exception &e) {                                          \
    torch_last_err = strdup(e.what());                                         \
  }
char *get_and_reset_last_err();
void at_manual_seed(int64_t);
int at_threads();
void at_free(tensor);
#include "torch_api_generated.h"
}
