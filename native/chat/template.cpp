// Rendering, with the engine's Jinja.
#include "budget.h"
#include "call.h"
#include "json_text.h"
#include "source.h"

#include "jinja/runtime.h"

namespace nbm {

// The clock is asked only while no JSON is about.
struct clocked {
    clocked() { current_budget()->timed = true; }
    ~clocked() { current_budget()->timed = false; }
};

// A role is put together to a token of the template by many ('<|' + role + '|>'), and it is no text: what the template sees of it is never input.
static void trust_roles(jinja::context & context) {
    jinja::value messages = context.get_val("messages");
    if (!jinja::is_val<jinja::value_array>(messages)) return;
    for (const jinja::value & message : messages->as_array()) {
        if (!jinja::is_val<jinja::value_object>(message)) continue;
        jinja::value none = jinja::mk_val<jinja::value_undefined>("role");
        const jinja::value role = message->at(std::string("role"), none);
        if (!jinja::is_val<jinja::value_string>(role)) continue;
        const std::string name = role->as_string().str();
        const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == std::string::npos;
        if (plain) message->insert(jinja::mk_val<jinja::value_string>("role"), jinja::mk_val<jinja::value_string>(name));
    }
}

static void set_variables(jinja::context & context, const std::string & request) {
    const common_json variables = parse_json(request);
    if (!variables.is_object()) throw invalid("the request is no object");
    if (variables.contains("input")) jinja::global_from_json(context, variables.at("input"), /* mark_input = */ true);
    if (variables.contains("variables")) jinja::global_from_json(context, variables.at("variables"), /* mark_input = */ false);
    if (variables.contains("now")) context.current_time = static_cast<std::time_t>(variables.at("now").get<int64_t>());
    trust_roles(context);
}

nbm_chat_result render(const std::string & source, const std::string & request) {
    const std::string text = normal_lines(source);
    jinja::context context(text);
    set_variables(context, request);
    clocked scope;
    const jinja::program program = parse_template(text);
    nbm_chat_result result;
    try {
        jinja::runtime runtime(context);
        const jinja::value_string parts = jinja::runtime::gather_string_parts(runtime.execute(program));
        for (const jinja::string_part & part : parts->val_str.parts) {
            if (part.is_input && !part.val.empty()) result.spans.push_back({result.text.size(), result.text.size() + part.val.size()});
            result.text += part.val;
        }
    } catch (const over_budget &) {
        throw;
    } catch (const std::exception & failure) {
        throw template_error(execution_error(failure.what()));
    }
    return result;
}

} // namespace nbm
