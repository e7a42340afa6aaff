#include "mapping.h"
#include "nbm.h"

namespace nbm {

// Windows tells of pages that cannot be had in another way, and callers read the file instead.
mapping::mapping(const std::string & path) : path(path) { throw failure{NBM_INVALID, path + ": files are not mapped on Windows"}; }

mapping::~mapping() = default;

void mapping::fill(uint64_t, uint64_t) const {}

bool mapping::damaged() const { return false; }

} // namespace nbm
