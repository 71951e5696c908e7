// SPDX-License-Identifier: GPL-2.0-only
// The same partial order with fewer switches: a run is one of many that differ only in the order of
// neighbours that commute (dependence.h), and of those this looks for one with few preemptions,
// then few switches. Steps of a task are pulled back to its step before, or that one is pushed
// forward to them, over independent steps of others. Every candidate is run: it counts only if it
// has the same order (OrderHash) and the same finding. Greedy: not the least of its class.
#pragma once

#include <cstdint>
#include <functional>

#include "scheduler/search/order_hash.h"
#include "scheduler/world.h"

namespace interleaf {

struct NormalizeResult {
  RunResult run;            // of the order that was given, with the finding
  std::uint64_t tried = 0;  // runs it took
};

// `same` says whether a run has the finding in question. Requires: the run of `schedule` has it.
// Stops after `tries_max` runs with what it has by then.
NormalizeResult normalize(World& world, const Schedule& schedule, const RunOptions& options,
                          const std::function<bool(const RunResult&)>& same,
                          std::uint64_t tries_max);

// The order of the run of a schedule.
Hash128 order_of(World& world, const Schedule& schedule, const RunOptions& options);

}  // namespace interleaf
