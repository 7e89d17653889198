#include "blipflow_api.h"
const char *bf_torch_version(void) { return TORCH_VERSION; }
