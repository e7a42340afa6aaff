// What the functions behind the C ABI share: a result, and the errors that become its statuses.
#pragma once

#include "nbm_chat.h"

#include <stdexcept>
#include <string>
#include <vector>

struct nbm_chat_result {
    std::string                text;
    std::vector<nbm_chat_span> spans;
};

namespace nbm {

struct invalid : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct template_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

nbm_chat_result render(const std::string & source, const std::string & request);
nbm_chat_result grammar(const std::string & schema);
nbm_chat_result format(const std::string & source, const std::string & request);
nbm_chat_result capabilities(const std::string & source);
nbm_chat_result parse(const std::string & format, const std::string & answer, bool partial);

} // namespace nbm
