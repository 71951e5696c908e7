// SPDX-License-Identifier: GPL-2.0-only
// Twice: runs a schedule, replays it, and compares. Determinism is checked, not hoped for.
#pragma once

#include <optional>
#include <string>

#include "scheduler/world.h"

namespace interleaf {

struct TwiceResult {
  RunResult first;
  std::optional<std::string> difference;  // what differed, in words; none: the same run twice
};

TwiceResult run_twice(World& world, Strategy& strategy, const RunOptions& options);

}  // namespace interleaf
