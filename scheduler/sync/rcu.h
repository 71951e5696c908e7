// SPDX-License-Identifier: GPL-2.0-only
// Read-copy-update. A grace period begins when callbacks are waiting, ends when every task that
// was inside a read section at its beginning has left it, and then runs the callbacks; it is a
// task of its own (a daemon) whose body calls grace_periods(). Preemptible RCU: only
// rcu_read_lock() sections count, not spinlocks.
#pragma once

#include <source_location>

#include "scheduler/scheduler.h"
#include "scheduler/sync/wait_queue.h"

namespace interleaf {

// Embedded in what call_rcu frees.
struct RcuHead {
  RcuHead* next = nullptr;
  void (*function)(RcuHead*) = nullptr;
};

class Rcu {
 public:
  using Where = std::source_location;

  // Read sections nest; only the outermost lock and unlock are points.
  void read_lock(Where where = Where::current());
  void read_unlock(Where where = Where::current());

  // `function(head)` runs after a grace period, in the grace-period task.
  void call(RcuHead* head, void (*function)(RcuHead*), Where where = Where::current());
  // Sleeps for a grace period.
  void synchronize(Where where = Where::current());

  // The body of the grace-period task; never returns.
  [[noreturn]] void grace_periods();

  TaskMask peek_readers() const { return readers_; }

 private:
  mutable ObjectNumber readers_number_;
  TaskMask readers_ = 0;     // tasks inside a read section
  TaskMask waited_for_ = 0;  // those the current grace period still waits for
  Gate gate_;                // the grace-period task, waiting for them
  RcuHead* pending_ = nullptr;
  RcuHead** pending_tail_ = &pending_;
  WaitQueue wake_{"RCU callbacks"};
};

}  // namespace interleaf
