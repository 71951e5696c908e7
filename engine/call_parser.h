// SPDX-License-Identifier: GPL-2.0-only
// Reads one strace-like line of a task, `[variable =] name(arguments) [= result]`, and checks it
// against the table of calls and against what the scenario has declared so far.
//
// Errors: UserError with file:line:column of the wrong word. Thread-safe: no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/call.h"
#include "engine/call_syntax.h"

namespace interleaf {

struct Variable {
  std::string name;
  ResultKind kind;
  int line;  // of the statement that first set it
};

// What a line may refer to. `variables` grows by the variable that a parsed line sets.
struct CallScope {
  std::string file_name;
  std::vector<std::string> files;
  std::vector<std::string> tasks;
  int task = 0;  // whose line it is
  std::uint64_t page_size = 4096;
  std::vector<Variable> variables;
};

Statement parse_call(const LocatedText& line, CallScope& scope);

// Data alone, as the content of a file: "pattern(7)" or "zeros".
DataSource parse_data(const LocatedText& text, std::string_view file_name);

}  // namespace interleaf
