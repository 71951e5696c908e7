// SPDX-License-Identifier: GPL-2.0-only
// The one table of strategies that need nothing but a seed.
#include <algorithm>
#include <array>

#include "scheduler/strategy.h"

namespace interleaf {
namespace {

constexpr std::array kStrategies = {
    StrategyInfo{"random", "uniform over the runnable tasks at every choice", &make_random},
    StrategyInfo{"round-robin", "the next runnable task by id at every choice", &make_round_robin},
    StrategyInfo{"keep-running", "the running task until it blocks or ends, then the lowest id",
                 &make_keep_running},
    StrategyInfo{"pos", "random priorities, drawn anew by accesses that raced", &make_pos},
    StrategyInfo{"pct", "random priorities of tasks, changed at 1 to 5 random choices", &make_pct},
    StrategyInfo{"delay", "round robin that passes over the next task 1 to 5 times", &make_delay},
};

}  // namespace

std::span<const StrategyInfo> strategies() { return kStrategies; }

const StrategyInfo* find_strategy(std::string_view name) {
  const auto* found = std::find_if(kStrategies.begin(), kStrategies.end(),
                                   [&](const StrategyInfo& info) { return info.name == name; });
  return found == kStrategies.end() ? nullptr : found;
}

}  // namespace interleaf
