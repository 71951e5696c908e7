// SPDX-License-Identifier: GPL-2.0-only
// A spinlock: whoever cannot have it is not runnable, it does not spin. Its holder must not sleep.
#pragma once

#include <source_location>

#include "scheduler/scheduler.h"
#include "scheduler/sync/exclusive.h"

namespace interleaf {

class Spinlock : private Exclusive {
 public:
  explicit Spinlock(const LockClass& lock_class) : Exclusive(lock_class) {}

  void lock(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    acquire(*s, where);
    ++s->current_task().atomic_depth;
  }
  bool try_lock(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return true;
    if (!try_acquire(*s, where)) return false;
    ++s->current_task().atomic_depth;
    return true;
  }
  void unlock(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    release(*s, where);
    --s->current_task().atomic_depth;
  }
  using Exclusive::held_by_me;
  using Exclusive::owner;
};

}  // namespace interleaf
