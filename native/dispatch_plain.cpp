// What a plug-in built without CUDA has in place of dispatch.cu: no courier, so that every copy is the device's own, no clock of a device, and no host
// memory that kernels read.
#include "dispatch.h"

std::unique_ptr<nbm::courier> nbm::make_courier(ggml_backend_dev_t) { return nullptr; }

std::unique_ptr<nbm::stopwatch> nbm::make_stopwatch(ggml_backend_dev_t) { return nullptr; }

bool nbm::maps_host_memory(ggml_backend_dev_t) { return false; }
