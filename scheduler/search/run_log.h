// SPDX-License-Identifier: GPL-2.0-only
// A run with all that is said of its steps when a cause is named: the steps with everything they
// did (linearize.h), where each was in the program, which locks its task held.
#pragma once

#include <vector>

#include "scheduler/search/cause.h"
#include "scheduler/search/linearize.h"
#include "scheduler/search/object_kinds.h"

namespace interleaf {

struct RunLog {
  RunResult run;
  OrderedRun steps;
  std::vector<AccessSite> sites;  // of steps: their announced accesses
  // What tasks were about to do when the run ended early; gated accesses that never came.
  std::vector<OrderedStep> pending;
  std::vector<AccessSite> pending_sites;
};

// Runs once, following `strategy`.
RunLog log_run(World& world, Strategy& strategy, RunOptions options);

}  // namespace interleaf
