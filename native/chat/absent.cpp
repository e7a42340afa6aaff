// What the engine's chat code calls and this library has no use for, or does in its own way: asserting, logging, and models.
#include "common.h"
#include "log.h"

#include <stdexcept>

// Asserting is an error of the call, not the end of the process.
void ggml_abort(const char *, int, const char * format, ...) { throw std::logic_error(format); }

int common_log_get_verbosity_thold() { return -1; }
common_log * common_log_main() { return nullptr; }
void common_log_add(common_log *, ggml_log_level, const char *, ...) {}

[[noreturn]] static void no_model() { throw std::logic_error("no model is loaded here"); }

std::vector<llama_token> common_tokenize(const llama_vocab *, const std::string &, bool, bool) { no_model(); }
std::string common_token_to_piece(const llama_vocab *, llama_token, bool) { no_model(); }
const char * llama_model_chat_template(const llama_model *, const char *) { no_model(); }
const llama_vocab * llama_model_get_vocab(const llama_model *) { no_model(); }
llama_token llama_vocab_bos(const llama_vocab *) { no_model(); }
llama_token llama_vocab_eos(const llama_vocab *) { no_model(); }
bool llama_vocab_get_add_bos(const llama_vocab *) { no_model(); }
bool llama_vocab_get_add_eos(const llama_vocab *) { no_model(); }
int32_t llama_chat_apply_template(const char *, const llama_chat_message *, size_t, bool, char *, int32_t) { no_model(); }

std::string string_strip(const std::string & text) {
    constexpr const char * space = " \t\n\v\f\r";
    const size_t begin = text.find_first_not_of(space);
    return begin == std::string::npos ? std::string() : text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

std::vector<std::string> string_split(const std::string & text, const std::string & delimiter) {
    std::vector<std::string> parts;
    size_t begin = 0;
    for (size_t end; (end = text.find(delimiter, begin)) != std::string::npos; begin = end + delimiter.size()) parts.push_back(text.substr(begin, end - begin));
    parts.push_back(text.substr(begin));
    return parts;
}

std::string string_join(const std::vector<std::string> & parts, const std::string & separator) {
    std::string text;
    for (const std::string & part : parts) text += (&part == &parts.front() ? "" : separator) + part;
    return text;
}

std::string string_repeat(const std::string & text, size_t count) {
    std::string all;
    all.reserve(text.size() * count);
    while (count-- > 0) all += text;
    return all;
}

void string_replace_all(std::string & text, const std::string & search, const std::string & replacement) {
    if (search.empty()) return;
    std::string all;
    size_t begin = 0;
    for (size_t end; (end = text.find(search, begin)) != std::string::npos; begin = end + search.size()) all.append(text, begin, end - begin).append(replacement);
    text = all.append(text, begin, std::string::npos);
}
