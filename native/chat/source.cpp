#include "source.h"
#include "budget.h"
#include "call.h"

#include <algorithm>

namespace nbm {

// What the recursion over a template is held by: brackets and prefixes that nest, blocks that do, and the length of one expression.
constexpr int deepest_nest  = 200;
constexpr int longest_block = 8192;

std::string normal_lines(const std::string & source) {
    std::string text;
    text.reserve(source.size());
    for (size_t i = 0; i < source.size(); i++) {
        if (source[i] != '\r') text += source[i];
        else if (i + 1 == source.size() || source[i + 1] != '\n') text += '\n';
    }
    return text;
}

static std::string place(const std::string & source, size_t position) {
    const size_t end = std::min(position, source.size());
    const size_t line = 1 + std::count(source.begin(), source.begin() + end, '\n');
    const size_t start = end == 0 ? std::string::npos : source.rfind('\n', end - 1);
    return "line " + std::to_string(line) + ", column " + std::to_string(end - (start == std::string::npos ? 0 : start + 1) + 1);
}

static std::string first_line(const std::string & text) {
    std::string line = text.substr(0, text.find('\n'));
    for (const char * who : {"lexer: ", "parser: ", "Parser Error: "})
        if (line.rfind(who, 0) == 0) line.erase(0, std::char_traits<char>::length(who));
    return line;
}

// The engine tells the place by an extract of the source, "..." on both sides and line ends as an arrow, over a caret.
static size_t position_of(const std::string & message, const std::string & source) {
    const size_t extract = message.find("\n..."), caret = message.rfind("\n");
    if (extract == std::string::npos || caret <= extract || message.back() != '^') return std::string::npos;
    const size_t before = message.size() - caret - 2 - 3; // bytes of the extract before the place
    if (before < 40) return before;
    std::string wanted = message.substr(extract + 4, caret - extract - 4 - 3);
    for (size_t at; (at = wanted.find("\u21b5")) != std::string::npos;) wanted.replace(at, 3, "\n");
    const size_t found = source.find(wanted);
    return found == std::string::npos ? found : found + before;
}

// An error that names no place stands at the token that first brings it about.
static size_t position_of(const std::string & message, const jinja::lexer_result & tokens) {
    constexpr size_t most = 4096;
    for (size_t count = 1; count <= std::min(tokens.tokens.size(), most); count++) {
        jinja::lexer_result some{{tokens.tokens.begin(), tokens.tokens.begin() + count}, tokens.source};
        try {
            jinja::parse_from_tokens(some);
        } catch (const over_budget &) {
            throw;
        } catch (const std::exception & failure) {
            if (message == failure.what()) return tokens.tokens[count - 1].pos;
        }
    }
    return std::string::npos;
}

static std::string located(const std::string & message, const std::string & source, size_t position) {
    return position == std::string::npos ? first_line(message) : place(source, position) + ": " + first_line(message);
}

static void require_shallow(const jinja::lexer_result & tokens, const std::string & source) {
    using jinja::token;
    int brackets = 0, prefixes = 0, blocks = 0, length = 0;
    for (size_t i = 0; i < tokens.tokens.size(); i++) {
        const token & here = tokens.tokens[i];
        const std::string & word = here.value;
        const bool opens = here.t == token::open_statement;
        if (opens || here.t == token::open_expression) brackets = prefixes = length = 0;
        length++;
        if (here.t == token::open_paren || here.t == token::open_square_bracket || here.t == token::open_curly_bracket) brackets++;
        if (here.t == token::close_paren || here.t == token::close_square_bracket || here.t == token::close_curly_bracket) brackets--;
        prefixes = here.t == token::unary_operator || (here.t == token::identifier && word == "not") ? prefixes + 1 : 0;
        if (opens && i + 1 < tokens.tokens.size()) {
            const std::string & name = tokens.tokens[i + 1].value;
            if (name == "if" || name == "elif" || name == "for" || name == "macro" || name == "call" || name == "filter" || name == "set") blocks++;
            if (name == "endif") blocks = std::max(0, blocks - 1);
            else if (name.rfind("end", 0) == 0) blocks = std::max(0, blocks - 1);
        }
        if (brackets > deepest_nest || prefixes > deepest_nest) throw template_error(place(source, here.pos) + ": nests deeper than " + std::to_string(deepest_nest));
        if (length > longest_block) throw template_error(place(source, here.pos) + ": an expression of more than " + std::to_string(longest_block) + " tokens");
    }
}

jinja::program parse_template(const std::string & source) {
    jinja::lexer_result tokens;
    try {
        tokens = jinja::lexer().tokenize(source);
    } catch (const over_budget &) {
        throw;
    } catch (const std::exception & failure) {
        throw template_error(located(failure.what(), source, position_of(failure.what(), source)));
    }
    require_shallow(tokens, source);
    try {
        return jinja::parse_from_tokens(tokens);
    } catch (const over_budget &) {
        throw;
    } catch (const std::exception & failure) {
        const size_t told = position_of(failure.what(), source);
        throw template_error(located(failure.what(), source, told != std::string::npos ? told : position_of(failure.what(), tokens)));
    }
}

// "\n------------\nWhile executing KIND at line L, column C in source:\n...extract...\n    ^\nError: WHAT"
std::string execution_error(const std::string & message) {
    const size_t at = message.find(" at line "), in = message.find(" in source:"), what = message.rfind("\nError: ");
    if (at == std::string::npos || in == std::string::npos || what == std::string::npos || in < at) return first_line(message);
    std::string text = message.substr(what + 8);
    std::replace(text.begin(), text.end(), '\n', ' ');
    return message.substr(at + 4, in - at - 4) + ": " + text;
}

} // namespace nbm
