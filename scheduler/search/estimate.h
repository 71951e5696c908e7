// SPDX-License-Identifier: GPL-2.0-only
// How many schedules a program has, before any search: Knuth's probe ("Estimating the efficiency
// of backtrack programs", 1975). A random walk, weighted with the inverse of its probability, has
// the number of schedules as its mean. That mean is unbiased but lives on rare heavy walks, so it
// is good for an order of magnitude, and rather too small. It counts interleavings; there are far
// fewer orders.
#pragma once

#include <cstdint>

#include "scheduler/world.h"

namespace interleaf {

struct ScheduleEstimate {
  static constexpr unsigned kAny = ~0u;

  double log10 = 0;  // of the number of schedules
  unsigned walks = 0;
  unsigned cut = 0;  // walks that the step limit ended: the number is of schedules so long
};

// Of the schedules with at most `preemptions`. `options.seed` is the first of the walks' seeds.
// Requires: walks > 0.
ScheduleEstimate estimate_schedules(World& world, RunOptions options, unsigned preemptions,
                                    unsigned walks);

}  // namespace interleaf
