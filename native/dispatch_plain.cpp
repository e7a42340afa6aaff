// The courier of a plug-in built without CUDA: none, and every copy is the device's own.
#include "dispatch.h"

std::unique_ptr<nbm::courier> nbm::make_courier(ggml_backend_dev_t) { return nullptr; }
