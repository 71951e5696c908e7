// SPDX-License-Identifier: GPL-2.0-only
// The priorities of POS (pos.cc), apart from where they come from: one per announced access, drawn
// anew by all that raced with what was performed.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "scheduler/dependence.h"
#include "scheduler/scheduler.h"
#include "scheduler/strategies/sampling.h"

namespace interleaf {

class PosPriorities {
 public:
  void clear() { drawn_ = 0; }

  // Tasks of `runnable` that have no priority get draw(), in order of ids.
  template <typename Draw>
  void deal(TaskMask runnable, Draw draw) {
    for_each_task(runnable & ~drawn_, [&](TaskId task) { priority_[task] = draw(); });
    drawn_ |= runnable;
  }
  // The highest of `tasks`, the lowest id of equals. Requires: all have one; tasks != 0.
  TaskId highest(TaskMask tasks) const {
    auto best = static_cast<TaskId>(std::countr_zero(tasks));
    for_each_task(tasks, [&](TaskId task) {
      if (priority_[task] > priority_[best]) best = task;
    });
    return best;
  }
  // `task` performs what it announced.
  void goes_on(const Scheduler& scheduler, TaskId task) {
    const Access& access = scheduler.task(task).next;
    drawn_ &= ~task_bit(task);
    for_each_task(drawn_, [&](TaskId other) {
      if (dependent(access, scheduler.task(other).next)) drawn_ &= ~task_bit(other);
    });
  }

 private:
  TaskMask drawn_ = 0;  // tasks whose announced access has a priority
  std::array<std::uint64_t, kTasksMax> priority_ = {};
};

}  // namespace interleaf
