// SPDX-License-Identifier: GPL-2.0-only
// The litmus programs that are right or wrong, in sizes that explorers exhaust in a moment.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/litmus/program.h"

namespace interleaf {

struct JudgedProgram {
  LitmusProgram program;
  std::set<std::string> bugs;  // signatures of what its schedules can come to; none: it is right
  bool many_prefixes = false;  // below Scale::kClasses, for the soak only
};
std::vector<JudgedProgram> judged_programs();

}  // namespace interleaf
