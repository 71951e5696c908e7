// SPDX-License-Identifier: GPL-2.0-only
// A lock that is a bit with a wait queue, as a folio's PG_locked: it can be tested without being
// taken, waited for, and released by a task other than the one that took it (I/O completion).
// Waiters are not queued: whoever looks first wins, a superset of what Linux's hand-off allows.
#pragma once

#include "scheduler/sync/exclusive.h"

namespace interleaf {

class BitLock : private Exclusive {
 public:
  explicit BitLock(const LockClass& lock_class) : Exclusive(lock_class) {}

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
  // Hands the locked bit to whoever ends the I/O: the caller no longer counts as its holder, and
  // any task may unlock_by_other().
  void disown(Where where = Where::current()) {
    if (Scheduler* s = Scheduler::current()) give_away(*s, where);
  }
  void unlock_by_other(Where where = Where::current()) {
    if (Scheduler* s = Scheduler::current()) release_given(*s, where);
  }
  // Sleeps until the bit is clear, without taking it.
  void wait(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->might_sleep(where);
    await_free(*s, where);
  }
  bool is_locked(Where where = Where::current()) const { return test(where); }
  using Exclusive::held_by_me;
  using Exclusive::look_locked;
  using Exclusive::owner;
  using Exclusive::peek_locked;
};

}  // namespace interleaf
