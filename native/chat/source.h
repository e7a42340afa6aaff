// A template's source: read into a program, with the place of what is wrong in it.
#pragma once

#include "jinja/parser.h"

#include <string>

namespace nbm {

// Line ends as the engine's lexer sees them, so that positions are in this text.
std::string normal_lines(const std::string & source);

// Throws template_error.
jinja::program parse_template(const std::string & source);

// What the engine says of a failed execution, in one line.
std::string execution_error(const std::string & message);

} // namespace nbm
