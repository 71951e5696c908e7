// SPDX-License-Identifier: GPL-2.0-only
// A sleeping mutex.
#pragma once

#include "scheduler/sync/exclusive.h"

namespace interleaf {

class Mutex : private Exclusive {
 public:
  explicit Mutex(const LockClass& lock_class) : Exclusive(lock_class) {}

  void lock(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->might_sleep(where);
    acquire(*s, where);
  }
  bool try_lock(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    return s == nullptr || try_acquire(*s, where);
  }
  void unlock(Where where = Where::current()) {
    if (Scheduler* s = Scheduler::current()) release(*s, where);
  }
  using Exclusive::held_by_me;
  using Exclusive::owner;
};

}  // namespace interleaf
