// SPDX-License-Identifier: GPL-2.0-only
// Which tasks start which (Thread::start), for strategies that weigh tasks by what they have left:
// a task that was not started yet counts as its starter's, with all that it will start itself. Then
// what goes on in parallel is weighed as a whole: Zhao, Wolff, Mathur, Roychoudhury: "Selectively
// uniform concurrency testing", ASPLOS 2025.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "scheduler/check.h"
#include "scheduler/scheduler.h"
#include "scheduler/strategies/sampling.h"

namespace interleaf {

class Starts {
 public:
  // Nobody starts anybody.
  Starts() = default;
  // `counts`: what each task will do; `started_by`: Trial::started_by.
  Starts(const std::vector<std::uint32_t>& counts, const std::vector<TaskId>& started_by) {
    CHECK(started_by.size() <= kTasksMax);
    for (TaskId task = 0; task < started_by.size(); ++task) {
      if (started_by[task] == kNoTask) continue;
      children_[started_by[task]] |= task_bit(task);
    }
    for (TaskId task = 0; task < started_by.size(); ++task) whole_[task] = sum(task, counts);
  }

  // Those of `task` that are to start yet. Requires: `runnable` is all that are.
  TaskMask waiting(const Scheduler& scheduler, TaskMask runnable, TaskId task) const {
    TaskMask waiting = children_[task] & ~runnable;
    for_each_task(waiting, [&](TaskId child) {
      if (scheduler.task(child).next.op != Op::kBegin) waiting &= ~task_bit(child);
    });
    return waiting;
  }
  // What they will do, and all that they start.
  std::uint32_t count(TaskMask tasks) const {
    std::uint32_t count = 0;
    for_each_task(tasks, [&](TaskId task) { count += whole_[task]; });
    return count;
  }

 private:
  // Ends: who starts another began before it.
  std::uint32_t sum(TaskId task, const std::vector<std::uint32_t>& counts) const {
    std::uint32_t total = task < counts.size() ? counts[task] : 0;
    for_each_task(children_[task], [&](TaskId child) { total += sum(child, counts); });
    return total;
  }

  std::array<TaskMask, kTasksMax> children_ = {};
  std::array<std::uint32_t, kTasksMax> whole_ = {};  // of a task and all below it
};

}  // namespace interleaf
