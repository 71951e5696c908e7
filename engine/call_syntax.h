// SPDX-License-Identifier: GPL-2.0-only
// The grammar of one line of a task, and the tree it gives, before anything is known about what
// the names in it mean. call_parser.h gives them their meaning.
//
//     statement  = [ name "=" ] name "(" [ argument { "," argument } ] ")" [ "=" result ]
//     result     = number | "-" errno
//     argument   = number | string | name { "|" name } | name "+" number | pattern | unreadable
//     pattern    = "pattern" "(" number [ "," number ] ")"
//     unreadable = "unreadable" "(" ( pattern | string | "zeros" ) "," number ")"
//     number     = decimal [ unit ] | "0x" hexadecimal [ unit ]
//     unit       = "K" | "M" | "G" | "H"            // H: a huge page, where sizes of files matter
//     string     = '"' { character | '\"' | '\\' | '\n' | '\t' | '\0' } '"'
//
// Errors: UserError with file:line:column of the wrong word. Thread-safe: no shared state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/call.h"

namespace interleaf {

// A text and where each of its bytes stands in the file; one more position stands for its end.
struct LocatedText {
  std::string text;
  std::vector<SourcePosition> positions;
  std::uint64_t huge_page_bytes = 0;  // what the unit H is; 0: it is none here
};

struct Word {
  std::string text;
  SourcePosition position;
};

// An argument as written, before it is known what the call wants there.
struct Expression {
  enum class Kind : std::uint8_t { kNumber, kString, kNames, kSum, kPattern };
  Kind kind = Kind::kNumber;
  std::uint64_t number = 0;               // kNumber; kSum: what is added
  std::string text;                       // kString
  std::vector<Word> names;                // kNames; kSum: the one variable
  DataSource pattern;                     // kPattern
  std::optional<std::uint64_t> readable;  // bytes of it, in unreadable(...)
  std::string written;
  SourcePosition position;
};

struct CallLine {
  Word variable;  // empty text if the result is not kept
  Word name;
  std::vector<Expression> arguments;
  std::optional<std::int64_t> returns;
  SourcePosition end;  // of the closing parenthesis
};

CallLine parse_call_line(const LocatedText& line, std::string_view file_name);

// An argument alone, and a number alone, as they stand in other keys of a scenario.
Expression parse_expression(const LocatedText& text, std::string_view file_name);
std::uint64_t parse_number(const LocatedText& text, std::string_view file_name);

}  // namespace interleaf
