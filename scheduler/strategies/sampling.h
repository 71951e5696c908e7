// SPDX-License-Identifier: GPL-2.0-only
// What the sampling strategies share.
#pragma once

#include <bit>

#include "scheduler/access.h"
#include "scheduler/prng.h"

namespace interleaf {

// Calls each(task) for the tasks of a set in order of ids.
template <typename Each>
void for_each_task(TaskMask tasks, Each each) {
  for (; tasks != 0; tasks &= tasks - 1) each(static_cast<TaskId>(std::countr_zero(tasks)));
}

// A task of `tasks` with a probability in proportion to weight(task).
// Requires: the weights sum up to 1 .. 2^32 - 1.
template <typename Weight>
TaskId draw_weighted(Prng& prng, TaskMask tasks, Weight weight) {
  std::uint32_t total = 0;
  for_each_task(tasks, [&](TaskId task) { total += weight(task); });
  std::uint32_t drawn = prng.below(total);
  for (;; tasks &= tasks - 1) {
    const auto task = static_cast<TaskId>(std::countr_zero(tasks));
    const std::uint32_t own = weight(task);
    if (drawn < own) return task;
    drawn -= own;
  }
}

// The task that goes on after `ran` in a round by ids. Requires: runnable != 0.
inline TaskId next_in_round(TaskId ran, TaskMask runnable) {
  const TaskMask after = ran >= kTasksMax ? 0 : runnable & (~TaskMask{1} << ran);
  return static_cast<TaskId>(std::countr_zero(after != 0 ? after : runnable));
}

// Decisions that one task may win running before it is taken to poll without saying so. Far above
// the length of a run that is meant to end, so that it bends nothing else.
inline constexpr std::uint32_t kPatience = 10'000;

// Who won how many decisions running.
class Streak {
 public:
  // True once every kPatience decisions that `task` wins running.
  bool too_long(TaskId task) {
    if (task != task_) {
      task_ = task;
      length_ = 0;
    }
    if (++length_ < kPatience) return false;
    length_ = 0;
    return true;
  }
  // The same task wins fewer than left() decisions more without too_long(): told later.
  std::uint32_t left() const { return kPatience - length_; }
  void add(std::uint32_t decisions) { length_ += decisions; }

 private:
  TaskId task_ = kNoTask;
  std::uint32_t length_ = 0;
};

}  // namespace interleaf
