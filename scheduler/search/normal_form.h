// SPDX-License-Identifier: GPL-2.0-only
// The normal form of an order: of all its schedules with at most so many preemptions, the first
// when at every choice the task that ran comes before the others, and these by id. Any run of the
// order leads to the same normal form, so what is reported of a search does not depend on which of
// them it met.
//
// A search of its own, depth first, over the prefixes of this one order: an event belongs to the
// order iff the hash of its task's past is the one that it had there. Prefixes that lead nowhere
// are remembered by key and preemptions. There are no more of them than the bounded search has
// prefixes, as a rule far fewer.
#pragma once

#include <functional>

#include "scheduler/world.h"

namespace interleaf {

// Requires: `schedule` is a run with at most `preemptions`, for which `accepted` is true. Runs of
// one order for which it is not are passed over. Returns `schedule` as it is if that cannot be run
// again, which only hidden state could cause.
Schedule normal_form(World& world, const RunOptions& options, const Schedule& schedule,
                     std::uint64_t preemptions,
                     const std::function<bool(const RunResult&)>& accepted);

}  // namespace interleaf
