// The C ABI of the chat library: chat templates, grammars and answers, by the engine's own code for them. It needs no engine to be loaded.
//
// Everything goes in and comes out as UTF-8, with lengths and without terminators. Every call that can fail returns a status and writes one line of text.
// Nothing aborts or throws across this boundary: hostile templates and JSON end in a status, because every call has a budget.
// Calls may run on any number of threads at once.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#  define NBM_CHAT_API __declspec(dllexport)
#else
#  define NBM_CHAT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nbm_chat_status {
    NBM_CHAT_OK       = 0,
    NBM_CHAT_INVALID  = 1, // JSON that is none, nests deeper than 256, or says what cannot be
    NBM_CHAT_TEMPLATE = 2, // the template is none, or failed for these messages; the text says where
    NBM_CHAT_BUDGET   = 3, // it would take more stack, memory or time than the budget
} nbm_chat_status;

typedef struct nbm_chat_text {
    const char * bytes;
    uint64_t     length;
} nbm_chat_text;

// What a call may take before it is given up.
typedef struct nbm_chat_budget {
    uint64_t stack;  // bytes of the calling thread's stack below this call
    uint64_t memory; // bytes allocated at one time
    uint64_t time;   // milliseconds, for a template
} nbm_chat_budget;

// A part of a rendered text that came from the messages, tools or documents: what is spelt in it is text, never a token of the template.
typedef struct nbm_chat_span {
    uint64_t begin; // bytes
    uint64_t end;
} nbm_chat_span;

typedef struct nbm_chat_result nbm_chat_result;

// Renders a Jinja template. The request is {"input": {...}, "variables": {...}, "now": seconds since 1970}: the template sees the members of both objects as
// variables, and those of "input" (messages, tools, documents) are what spans tell apart.
NBM_CHAT_API nbm_chat_status nbm_chat_render(nbm_chat_text source, nbm_chat_text request, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size);

// The grammar (GBNF, root "root") of the JSON that a JSON schema admits.
NBM_CHAT_API nbm_chat_status nbm_chat_grammar(nbm_chat_text schema, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size);

// How a model with this template writes its answer, as JSON that nbm_chat_parse understands. The request is {"messages": [...], "tools": [...], "tool_choice":
// "auto" | "required" | "none", "parallel_tool_calls": bool, "enable_thinking": bool, "json_schema": {...}, "bos_token": text, "eos_token": text, "variables": {...}},
// in the shapes of OpenAI's API; all but the messages may be absent. The result has "grammar" (GBNF, or empty), "grammar_lazy" with "grammar_triggers", "preserved_tokens", "additional_stops",
// "thinking_start_tag" and "thinking_end_tags" besides what only nbm_chat_parse reads.
NBM_CHAT_API nbm_chat_status nbm_chat_format(nbm_chat_text source, nbm_chat_text request, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size);

// What a template understands, as an object of flags: supports_tools, supports_tool_calls, supports_system_role, supports_parallel_tool_calls,
// supports_string_content, supports_typed_content, supports_object_arguments and others that the engine finds out by rendering with it.
NBM_CHAT_API nbm_chat_status nbm_chat_capabilities(nbm_chat_text source, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size);

// An answer, or the beginning of one where partial is not 0, as {"content": text, "reasoning_content": text, "tool_calls": [{"id", "name", "arguments": text}]}.
NBM_CHAT_API nbm_chat_status nbm_chat_parse(nbm_chat_text format, nbm_chat_text answer, uint32_t partial, const nbm_chat_budget * budget, nbm_chat_result ** result, char * error, size_t error_size);

// What a call gave; valid until the result is freed.
NBM_CHAT_API nbm_chat_text nbm_chat_result_text(const nbm_chat_result * result);
NBM_CHAT_API const nbm_chat_span * nbm_chat_result_spans(const nbm_chat_result * result, uint64_t * count);
NBM_CHAT_API void nbm_chat_result_free(nbm_chat_result * result);

// sizeof nbm_chat_budget and nbm_chat_span, for the caller's layout check.
NBM_CHAT_API void nbm_chat_abi_sizes(uint32_t * budget_size, uint32_t * span_size);

#ifdef __cplusplus
}
#endif
