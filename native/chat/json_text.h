// JSON texts as values, no deeper than the recursion over them may go.
#pragma once

#include "json.h"

#include <string>

namespace nbm {

common_json parse_json(const std::string & text);

} // namespace nbm
