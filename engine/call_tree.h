// SPDX-License-Identifier: GPL-2.0-only
// Which function called which, for every system call of a task: built from a trace, and written and
// read as text in the form of tests/kernel_calls, where the calls of real kernels are. One function
// per line, two spaces per level; "repeat N:" stands for N equal consecutive groups, one level
// deeper. Lines that begin with "#" are comments.
//
// Every function that has a FRAME appears, in the order of entering. Values only, no shared state.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/trace.h"

namespace interleaf {

struct FunctionCall {
  std::string name;
  std::vector<FunctionCall> calls;  // made by it, in order

  bool operator==(const FunctionCall&) const = default;
};

// One system call of a scenario's task. wait() is none: no kernel sees it.
struct SystemCall {
  std::string task;
  unsigned number = 0;        // of the task's calls, from 1, each turn of a loop counted
  std::string text;           // as the scenario has it: "pwrite(fd, zeros, 4K, 0)"
  std::optional<int> failed;  // the errno; none: it returned `result`, or never returned
  std::optional<std::int64_t> result;
  std::vector<FunctionCall> calls;

  // "returned 4096", "returned -1 errno 22", "did not return".
  std::string outcome() const;
};

// Of the tasks in the order of their ids, each in the order of its calls.
std::vector<SystemCall> system_calls(const Trace& trace);

// The lines, with equal neighbours folded.
std::string call_tree_text(const std::vector<FunctionCall>& calls);
// An array of {"function", "calls"} and {"repeat", "calls"}, folded in the same way.
nlohmann::ordered_json call_tree_json(const std::vector<FunctionCall>& calls);
// The inverse of call_tree_text(), with "repeat" unfolded. Errors: UserError for a line that is
// indented by an odd number of spaces or too far, or a "repeat" without a number.
std::vector<FunctionCall> parse_call_tree(std::string_view text);

}  // namespace interleaf
