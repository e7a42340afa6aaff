#include "json_text.h"
#include "call.h"

namespace nbm {

constexpr int deepest = 256;

static int depth(const std::string & text) {
    int depth = 0, most = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\') i++;
            else if (c == '"') quoted = false;
        }
        else if (c == '"') quoted = true;
        else if (c == '{' || c == '[') most = ++depth > most ? depth : most;
        else if (c == '}' || c == ']') depth--;
    }
    return most;
}

common_json parse_json(const std::string & text) {
    if (const int found = depth(text); found > deepest) throw invalid("the JSON nests " + std::to_string(found) + " deep, and " + std::to_string(deepest) + " is most");
    try {
        return common_json::parse(text);
    } catch (const common_json_error & failure) {
        throw invalid(failure.what());
    }
}

} // namespace nbm
