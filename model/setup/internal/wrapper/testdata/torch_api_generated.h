void atg_add(tensor *, tensor self);
void atg_gone(tensor *, tensor self, int flag);
void atg_ones(tensor *, int64_t *size_data, int size_len, int options_kind, int options_device);
tensor *atg_parts(tensor self);
int64_t atg_templated(tensor self, int64_t dim);
