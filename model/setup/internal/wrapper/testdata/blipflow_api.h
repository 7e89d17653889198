extern "C" const char *bf_torch_version(void);
