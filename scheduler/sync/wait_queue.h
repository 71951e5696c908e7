// SPDX-License-Identifier: GPL-2.0-only
// Wait queues, Linux's way: prepare_to_wait, look at the condition, schedule, finish_wait. A wake
// between prepare_to_wait and schedule is not lost.
#pragma once

#include <cstdint>
#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

class WaitQueue {
 public:
  using Where = std::source_location;

  // `name` is for reports; static storage duration.
  explicit constexpr WaitQueue(const char* name) : name_(name) {}
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  // Does not sleep: spinlocks may be held until schedule().
  void prepare_to_wait(bool exclusive = false, Where where = Where::current());
  // Sleeps until woken since prepare_to_wait.
  void schedule(Where where = Where::current());
  // No point after schedule(), since the wake-up has removed the caller; a point otherwise.
  void finish_wait(Where where = Where::current());

  // Wakes all non-exclusive waiters and up to `exclusive_max` exclusive ones, first come first.
  void wake_up(unsigned exclusive_max = 1, Where where = Where::current());
  void wake_up_all(Where where = Where::current()) { wake_up(kTasksMax, where); }

  template <typename Condition>
  void wait_event(Condition condition, Where where = Where::current()) {
    if (condition()) return;
    if (Scheduler* s = Scheduler::current()) s->might_sleep(where);
    for (;;) {
      prepare_to_wait(false, where);
      if (condition()) break;
      schedule(where);
    }
    finish_wait(where);
  }

  TaskMask peek_waiting() const {
    TaskMask tasks = 0;
    for (unsigned i = 0; i < waiting_; ++i) tasks |= task_bit(queue_[i]);
    return tasks;
  }

 private:
  void remove(unsigned index);

  const char* name_;
  mutable ObjectNumber number_;
  std::uint8_t waiting_ = 0;
  TaskId queue_[kTasksMax] = {};
  TaskMask exclusive_ = 0;
  TaskMask prepared_ =
      0;  // prepare_to_wait without schedule since: only its own task changes a bit
  Gate gate_;
};

}  // namespace interleaf
