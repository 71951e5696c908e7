// SPDX-License-Identifier: GPL-2.0-only
// Words for hangs: who waits for what, who holds it.
#pragma once

#include <string>
#include <vector>

#include "scheduler/detect/lock_order.h"

namespace interleaf {

class Scheduler;

// Requires: no task is runnable. A line per blocked task, the cycle first if there is one; `object`
// becomes a stable name of what is waited for. The first line sums up.
std::vector<std::string> describe_deadlock(const Scheduler& scheduler, std::string& object);

// The edges of an inversion with their stacks, in lockdep's order; `object` becomes the classes.
std::vector<std::string> describe_lock_order(const Scheduler& scheduler, const LockOrder& order,
                                             const LockOrder::Path& path, std::string& object);

}  // namespace interleaf
