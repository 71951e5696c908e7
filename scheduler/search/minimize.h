// SPDX-License-Identifier: GPL-2.0-only
// Fewer switches for the same finding: a schedule becomes a list of deviations from the
// keep-running policy, and delta debugging (Zeller, Hildebrandt: "Simplifying and isolating
// failure-inducing input", 2002) takes away what the finding does not need. The result is
// 1-minimal: no single deviation can go, and no data choice can have a smaller value. It is not
// proven to have the fewest preemptions.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "scheduler/world.h"

namespace interleaf {

// The deviations that make `schedule` of the keep-running policy.
std::vector<Deviation> deviations_of(World& world, const Schedule& schedule,
                                     const RunOptions& options);

struct MinimizeResult {
  std::vector<Deviation> deviations;
  RunResult run;            // of these deviations; has the finding
  std::uint64_t tried = 0;  // runs it took
  // No single deviation can go; false: the tries ran out before that was known.
  bool one_minimal = false;
};

// `same` says whether a run has the finding in question. Requires: the run of `schedule` has it.
// Stops after `tries_max` runs with what it has by then.
MinimizeResult minimize(World& world, const Schedule& schedule, const RunOptions& options,
                        const std::function<bool(const RunResult&)>& same, std::uint64_t tries_max);

// normalize() and minimize() in turn until neither helps. Never more preemptions than `schedule`
// has. Each of them may take `tries_max` runs.
MinimizeResult reduce(World& world, const Schedule& schedule, const RunOptions& options,
                      const std::function<bool(const RunResult&)>& same, std::uint64_t tries_max);

}  // namespace interleaf
