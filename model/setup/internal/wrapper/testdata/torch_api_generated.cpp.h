// A few functions laid out as gotch's generator lays out its own.

void atg_add(tensor *out__, tensor self) {
  PROTECT(
    auto outputs__ = torch::add(*self);
    out__[0] = new torch::Tensor(outputs__);
  )
}

void atg_gone(tensor *out__, tensor self, int flag) {
  PROTECT(
    auto outputs__ = torch::gone(*self, (bool)flag);
    out__[0] = new torch::Tensor(outputs__);
  )
}

void atg_ones(tensor *out__, int64_t *size_data, int size_len, int options_kind, int options_device) {
  PROTECT(
    out__[0] = new torch::Tensor(torch::ones(size_data, size_len));
  )
}

tensor *atg_parts(tensor self) {
  PROTECT(
    return torch::parts(*self, 1);
  )
  return nullptr;
}

int64_t atg_templated(tensor self,
                      int64_t dim) {
  PROTECT(
    return torch::templated(self);
  )
  return 0;
}
