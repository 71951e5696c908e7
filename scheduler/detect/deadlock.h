// SPDX-License-Identifier: GPL-2.0-only
// Words for hangs: who waits for what, who holds it.
#pragma once

#include <string>
#include <vector>

#include "scheduler/detect/lock_order.h"

namespace interleaf {

class Scheduler;

struct Deadlock {
  bool cycle = false;              // of tasks that wait for each other's locks
  TaskId first = kNoTask;          // of the cycle if there is one, else of those that hang
  std::string object;              // a stable name of what is waited for
  std::string summary;             // "cycle: a -> b -> a"
  std::vector<std::string> lines;  // one per blocked task, the cycle first
};
// Requires: no task is runnable and one that is no daemon is not finished.
Deadlock describe_deadlock(const Scheduler& scheduler);

// The edges of an inversion with their stacks, in lockdep's order; `object` becomes the classes.
std::vector<std::string> describe_lock_order(const Scheduler& scheduler, const LockOrder& order,
                                             const LockOrder::Path& path, std::string& object);

}  // namespace interleaf
