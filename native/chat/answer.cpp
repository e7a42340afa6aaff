// Grammars, and answers read by the engine's parsers.
#include "call.h"
#include "json_text.h"
#include "source.h"

#include "chat.h"
#include "json-schema-to-grammar.h"

namespace nbm {

nbm_chat_result grammar(const std::string & schema) { return {json_schema_to_grammar(parse_json(schema), /* force_gbnf = */ true), {}}; }

static std::string text(const common_json & request, const char * key) { return request.contains(key) ? request.at(key).get<std::string>() : std::string(); }

static bool flag(const common_json & request, const char * key, bool otherwise) { return request.contains(key) ? request.at(key).get<bool>() : otherwise; }

nbm_chat_result format(const std::string & source, const std::string & request_text) {
    const common_json request = parse_json(request_text);
    parse_template(normal_lines(source));
    const common_chat_templates_ptr templates = common_chat_templates_init(nullptr, source, text(request, "bos_token"), text(request, "eos_token"));

    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    if (request.contains("tool_choice")) inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(text(request, "tool_choice"));
    if (request.contains("json_schema")) inputs.json_schema = request.at("json_schema").dump();
    if (request.contains("variables"))
        for (const auto & [key, value] : request.at("variables").items()) inputs.chat_template_kwargs[key] = value.dump();
    inputs.parallel_tool_calls = flag(request, "parallel_tool_calls", false);
    inputs.enable_thinking     = flag(request, "enable_thinking", true);
    inputs.reasoning_format    = COMMON_REASONING_FORMAT_DEEPSEEK;

    const common_chat_params params = common_chat_templates_apply(templates.get(), inputs);
    common_json triggers = common_json::array();
    for (const common_grammar_trigger & trigger : params.grammar_triggers) triggers.push_back(common_json{{"type", static_cast<int>(trigger.type)}, {"value", trigger.value}});
    const common_json result{
        {"format", static_cast<int>(params.format)},
        {"parser", params.parser},
        {"generation_prompt", params.generation_prompt},
        {"grammar", params.grammar},
        {"grammar_lazy", params.grammar_lazy},
        {"grammar_triggers", triggers},
        {"preserved_tokens", params.preserved_tokens},
        {"additional_stops", params.additional_stops},
        {"thinking_start_tag", params.thinking_start_tag},
        {"thinking_end_tags", params.thinking_end_tags},
    };
    return {result.dump(), {}};
}

nbm_chat_result capabilities(const std::string & source) {
    parse_template(normal_lines(source));
    const common_chat_templates_ptr templates = common_chat_templates_init(nullptr, source);
    common_json flags = common_json::object();
    for (const auto & [name, value] : common_chat_templates_get_caps(templates.get())) flags[name] = value;
    return {flags.dump(), {}};
}

nbm_chat_result parse(const std::string & format_text, const std::string & answer, bool partial) {
    const common_json format = parse_json(format_text);
    common_chat_parser_params params;
    params.format            = static_cast<common_chat_format>(format.at("format").get<int>());
    params.generation_prompt = text(format, "generation_prompt");
    params.reasoning_format  = COMMON_REASONING_FORMAT_DEEPSEEK;
    if (const std::string parser = text(format, "parser"); !parser.empty()) params.parser.load(parser);

    const common_chat_msg message = common_chat_parse(answer, partial, params);
    common_json calls = common_json::array();
    for (const common_chat_tool_call & call : message.tool_calls) calls.push_back(common_json{{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
    const common_json result{{"content", message.content}, {"reasoning_content", message.reasoning_content}, {"tool_calls", calls}};
    return {result.dump(), {}};
}

} // namespace nbm
