// SPDX-License-Identifier: GPL-2.0-only
// The litmus programs that are right or wrong, in sizes that every explorer exhausts.
#pragma once

#include <string>
#include <vector>

#include "tests/litmus/program.h"

namespace interleaf {

struct JudgedProgram {
  LitmusProgram program;
  std::string bug;  // the signature of what its schedules can come to; empty: it is right
};
std::vector<JudgedProgram> judged_programs();

}  // namespace interleaf
