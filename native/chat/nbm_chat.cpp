// The C ABI: each call runs under its budget, and what it throws becomes a status and one line.
#include "nbm_chat.h"
#include "budget.h"
#include "call.h"

#include <memory>

namespace {

std::string text_of(nbm_chat_text text) { return text.length ? std::string(text.bytes, text.length) : std::string(); }

void write_line(const std::string & line, char * error, size_t error_size) {
    if (!error_size) return;
    const size_t length = line.size() < error_size ? line.size() : error_size - 1;
    for (size_t i = 0; i < length; i++) error[i] = line[i] == '\n' ? ' ' : line[i];
    error[length] = '\0';
}

template <typename F>
nbm_chat_status call(const nbm_chat_budget * limits, nbm_chat_result ** result, char * error, size_t error_size, F && work) {
    *result = nullptr;
    nbm_chat_status status = NBM_CHAT_OK;
    try {
        nbm::budget budget(*limits);
        try {
            *result = new nbm_chat_result(work());
            return NBM_CHAT_OK;
        } catch (const nbm::template_error & failure) {
            status = NBM_CHAT_TEMPLATE;
            write_line(failure.what(), error, error_size);
        } catch (const std::exception & failure) {
            status = NBM_CHAT_INVALID;
            write_line(failure.what(), error, error_size);
        }
        if (budget.exceeded) {
            status = NBM_CHAT_BUDGET;
            write_line(budget.exceeded, error, error_size);
        }
    } catch (...) {
        status = NBM_CHAT_BUDGET;
        write_line("takes more memory than there is", error, error_size);
    }
    return status;
}

} // namespace

nbm_chat_status nbm_chat_render(nbm_chat_text source, nbm_chat_text request, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size) {
    return call(budget, result, error, error_size, [&] { return nbm::render(text_of(source), text_of(request)); });
}

nbm_chat_status nbm_chat_grammar(nbm_chat_text schema, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size) {
    return call(budget, result, error, error_size, [&] { return nbm::grammar(text_of(schema)); });
}

nbm_chat_status nbm_chat_format(nbm_chat_text source, nbm_chat_text request, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size) {
    return call(budget, result, error, error_size, [&] { return nbm::format(text_of(source), text_of(request)); });
}

nbm_chat_status nbm_chat_capabilities(nbm_chat_text source, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size) {
    return call(budget, result, error, error_size, [&] { return nbm::capabilities(text_of(source)); });
}

nbm_chat_status nbm_chat_parse(nbm_chat_text format, nbm_chat_text answer, uint32_t partial, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size) {
    return call(budget, result, error, error_size, [&] { return nbm::parse(text_of(format), text_of(answer), partial != 0); });
}

nbm_chat_text nbm_chat_result_text(const nbm_chat_result * result) { return {result->text.data(), result->text.size()}; }

const nbm_chat_span * nbm_chat_result_spans(const nbm_chat_result * result, uint64_t * count) {
    *count = result->spans.size();
    return result->spans.data();
}

void nbm_chat_result_free(nbm_chat_result * result) { delete result; }

void nbm_chat_abi_sizes(uint32_t * budget_size, uint32_t * span_size) {
    *budget_size = sizeof(nbm_chat_budget);
    *span_size   = sizeof(nbm_chat_span);
}
