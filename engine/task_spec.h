// SPDX-License-Identifier: GPL-2.0-only
// A scenario's task: a name and the calls it makes, one after the other, in a process of its own.
//
// Invariants: see call.h for the statements. Values only, no shared state.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/call.h"

namespace interleaf {

inline constexpr std::size_t kScenarioTasksMax = 24;
inline constexpr std::size_t kStatementsMax = 1000;  // of one task, those in loops included
inline constexpr int kLoopDepthMax = 4;

struct TaskSpec {
  std::string name;
  std::vector<std::string> variables;  // the slots that statements refer to
  std::vector<Statement> statements;
  SourcePosition position;
};

}  // namespace interleaf
