// SPDX-License-Identifier: GPL-2.0-only
// The unbounded search (scheduler/search/dpor.h) with the options and the result of the bounded
// one, so that one report does for both.
#pragma once

#include "scheduler/search/bounded.h"
#include "scheduler/search/with_world.h"

namespace interleaf {

// Of `options`: jobs, runs_max, seconds_max, snapshots, run, signature (must be set), known,
// sample_max, progress, interrupted, checkpoint and what goes with it. Throws CheckpointError.
// `done`: DporResult::done. A run counts for the least of its
// gravest findings' signatures: which of two comes first does not follow from the order.
BoundedResult explore_unbounded(const WithWorld& with_world, const BoundedOptions& options,
                                double& done);

}  // namespace interleaf
