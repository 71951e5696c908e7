// SPDX-License-Identifier: GPL-2.0-only
// The policy that several strategies fall back to: stay, else the lowest id.
#pragma once

#include <bit>

#include "scheduler/scheduler.h"

namespace interleaf {

// Requires: runnable != 0.
inline TaskId keep_running(const Scheduler& scheduler, TaskMask runnable) {
  const TaskId ran = scheduler.current_id();
  if (ran != kNoTask && (runnable & task_bit(ran)) != 0) return ran;
  return static_cast<TaskId>(std::countr_zero(runnable));
}

}  // namespace interleaf
