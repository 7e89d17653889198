#include "torch_api.h"

char *get_and_reset_last_err() {
  char *tmp = torch_last_err;
  torch_last_err = nullptr;
  return tmp;
}

void at_manual_seed(int64_t seed) { torch::manual_seed(seed); }

int at_threads() {
  PROTECT(return torch::get_num_threads();)
  return -1;
}

void at_free(tensor t) { delete (t); }

#include "torch_api_generated.cpp.h"
