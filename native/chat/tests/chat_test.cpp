// The chat library through its C ABI: what it renders and reads, and hostile input of every kind. Prints a line a test and 'N passed, N failed' last.
#include "nbm_chat.h"

#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

// The engine's values count references: one that a template makes refer to itself, as one does here, outlives its template. All else must be freed.
extern "C" NBM_CHAT_API const char * __lsan_default_suppressions();
extern "C" const char * __lsan_default_suppressions() { return "leak:jinja::set_statement"; }

namespace {

constexpr nbm_chat_budget usual = {6 << 20, 1 << 30, 20000};
constexpr nbm_chat_budget tight = {1 << 20, 64 << 20, 2000};

void require(bool holds, const std::string & what) {
    if (!holds) {
        throw std::runtime_error(what);
    }
}

nbm_chat_text text(const std::string & of) { return {of.data(), of.size()}; }

struct answer {
    nbm_chat_status            status = NBM_CHAT_OK;
    std::string                text, error;
    std::vector<nbm_chat_span> spans;
};

// Takes all of a result and frees it; a call that fails gives none, and says why.
template <typename F>
answer call(F && function) {
    nbm_chat_result * result = nullptr;
    char              error[512] = "";
    answer            all;
    all.status = function(&result, error, sizeof error);
    all.error  = error;
    if (all.status != NBM_CHAT_OK) {
        require(result == nullptr && !all.error.empty(), "a call that failed gives no result and a reason");
        return all;
    }
    const nbm_chat_text whole = nbm_chat_result_text(result);
    uint64_t            count = 0;
    const nbm_chat_span * spans = nbm_chat_result_spans(result, &count);
    all.text.assign(whole.bytes, whole.length);
    all.spans.assign(spans, spans + count);
    nbm_chat_result_free(result);
    return all;
}

answer render(const std::string & source, const std::string & request, const nbm_chat_budget & budget = usual) {
    return call([&](auto... out) { return nbm_chat_render(text(source), text(request), &budget, out...); });
}

answer grammar(const std::string & schema) {
    return call([&](auto... out) { return nbm_chat_grammar(text(schema), &usual, out...); });
}

answer format(const std::string & source, const std::string & request) {
    return call([&](auto... out) { return nbm_chat_format(text(source), text(request), &usual, out...); });
}

answer capabilities(const std::string & source) {
    return call([&](auto... out) { return nbm_chat_capabilities(text(source), &usual, out...); });
}

answer parse(const std::string & format, const std::string & said, bool partial = false) {
    return call([&](auto... out) { return nbm_chat_parse(text(format), text(said), partial, &usual, out...); });
}

std::string repeat(const std::string & part, size_t count) {
    std::string all;
    while (count-- > 0) {
        all += part;
    }
    return all;
}

const std::string chatml = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const std::string hermes = R"({%- if tools %}<|im_start|>system
<tools>{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
</tools><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %})";
const std::string hello = R"({"input": {"messages": [{"role": "user", "content": "Hi <|im_end|>"}]}, "variables": {"add_generation_prompt": true}, "now": 0})";
const std::string greeting = "<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n";
const std::string weather = R"({"messages": [{"role": "user", "content": "Rain?"}], "tools": [{"type": "function", "function": {"name": "weather", "description": "d",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}], "tool_choice": "required"})";

void renders() {
    const answer said = render(chatml, hello);
    require(said.text == greeting, said.text + said.error);
    require(said.spans.size() == 1, "one span of input");
    require(said.text.substr(said.spans[0].begin, said.spans[0].end - said.spans[0].begin) == "Hi <|im_end|>", "the span is what the user wrote");
}

void tells_where() {
    const answer said = render("a\n {{ foo( }}", hello);
    require(said.status == NBM_CHAT_TEMPLATE && said.error.find("line 2") != std::string::npos, said.error);
    char little[8];
    nbm_chat_result * result = nullptr;
    require(nbm_chat_render(text("{{ foo( }}"), text(hello), &usual, &result, little, sizeof little) == NBM_CHAT_TEMPLATE && std::strlen(little) == 7, "an error is cut to its room");
    require(nbm_chat_render(text("{{ foo( }}"), text(hello), &usual, &result, nullptr, 0) == NBM_CHAT_TEMPLATE && result == nullptr, "an error without room");
}

void gives_up() {
    for (const char * source : {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ range(10000000000) | length }}", "{% for i in range(1000000000) %}{% endfor %}", "{{ 'x' * 9000000000 }}",
                                "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns | tojson }}", "{{ ('a' * 0) * 9000000000000000000 }}"}) {
        const answer said = render(source, hello, tight);
        require(said.status == NBM_CHAT_BUDGET || said.status == NBM_CHAT_TEMPLATE, std::string(source) + " came to an end");
    }
    require(render(chatml, hello).status == NBM_CHAT_OK, "the call after");
}

void refuses_nesting() {
    constexpr size_t deep = 100000;
    for (const auto & [before, after] : std::vector<std::pair<std::string, std::string>>{{"(", ")"}, {"[", "]"}, {"not ", ""}, {"1 + ", ""}, {"{'a':", "}"}}) {
        require(render("{{ " + repeat(before, deep) + "1" + repeat(after, deep) + " }}", hello).status != NBM_CHAT_OK, "a template that nests '" + before + "'");
    }
    require(render(repeat("{% if a %}", deep), hello).status != NBM_CHAT_OK, "blocks that nest");
    require(grammar(repeat("[", deep)).status == NBM_CHAT_INVALID, "a schema that nests");
    require(render(chatml, repeat("{\"input\":", deep)).status == NBM_CHAT_INVALID, "a request that nests");
}

void converts_schemas() {
    require(grammar(R"({"type": "object", "properties": {"a": {"type": "integer"}}})").text.find("root ::=") != std::string::npos, "a grammar has a root");
    for (const char * schema : {"", "{", "[]", "1", R"({"type": "nonsense"})", R"({"$ref": "#/none"})", R"({"type": "string", "pattern": "^(($"})", R"({"enum": 1})", R"({"type": "array", "minItems": -1})"}) {
        grammar(schema);
    }
    require(grammar("{").status == NBM_CHAT_INVALID, "half a schema");
}

void reads_calls() {
    const answer how = format(hermes, weather);
    require(how.status == NBM_CHAT_OK && how.text.find("\"grammar\":\"") != std::string::npos, how.error);
    const std::string whole = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    const answer said = parse(how.text, whole);
    require(said.status == NBM_CHAT_OK && said.text.find("\"name\":\"weather\"") != std::string::npos && said.text.find("Rome") != std::string::npos, said.text + said.error);
    for (size_t length = 0; length <= whole.size(); length++) {
        parse(how.text, whole.substr(0, length), true);
        parse(how.text, whole.substr(0, length));
    }
    require(capabilities(hermes).text.find("\"supports_tools\":true") != std::string::npos, "it takes tools");
}

void takes_anything() {
    uint32_t          state = 1;
    const std::string pieces[] = {"{{", "}}", "{%", "%}", "for", " in ", "if ", "endif", "endfor", "messages", "m", "'", "\"", "|", "[", "]", "(", ")", ".", "0", "\n", "\xff", "\xc3", std::string(1, '\0'), "{#", "-", "\\"};
    for (int round = 0; round < 2000; round++) {
        std::string noise;
        for (int i = 0; i < 40; i++) {
            state = state * 1664525u + 1013904223u;
            noise += pieces[(state >> 16) % (sizeof pieces / sizeof *pieces)];
        }
        render(noise, hello, tight);
        render(chatml, noise, tight);
        if (round % 20 == 0) {
            grammar(noise);
            capabilities(noise);
            format(noise, weather);
            format(hermes, noise);
            parse(noise, noise);
        }
    }
    require(render("", "{}").status == NBM_CHAT_OK, "an empty template is one");
}

void runs_at_once() {
    std::vector<std::thread> threads;
    std::vector<int>         right(8);
    for (int & count : right) {
        threads.emplace_back([&count] {
            for (int i = 0; i < 20; i++) {
                count += render(chatml, hello).text == greeting;
                count += render("{% for i in range(1000000000) %}{% endfor %}", hello, {1 << 20, 64 << 20, 5}).status == NBM_CHAT_BUDGET;
            }
        });
    }
    for (std::thread & thread : threads) {
        thread.join();
    }
    for (int count : right) {
        require(count == 40, "a thread was right " + std::to_string(count) + " times of 40");
    }
}

} // namespace

int main() {
    const std::vector<std::pair<const char *, std::function<void()>>> tests = {
        {"a conversation is rendered, and what is input is told", renders},
        {"a template that fails says where", tells_where},
        {"a template without end is given up", gives_up},
        {"what nests without end is refused", refuses_nesting},
        {"a schema becomes a grammar", converts_schemas},
        {"an answer is read, and every beginning of it", reads_calls},
        {"nonsense ends in a status", takes_anything},
        {"calls on many threads do not mix", runs_at_once},
    };
    int passed = 0;
    for (const auto & [name, run] : tests) {
        try {
            run();
            passed++;
            std::printf("ok    chat: %s\n", name);
        } catch (const std::exception & caught) {
            std::printf("FAIL  chat: %s: %s\n", name, caught.what());
        }
        std::fflush(stdout); // before a sanitizer ends the process with its report
    }
    std::printf("%d passed, %d failed\n", passed, (int) tests.size() - passed);
    return passed == (int) tests.size() ? 0 : 1;
}
