// SPDX-License-Identifier: GPL-2.0-only
// A reader/writer spinlock, as Linux's rwlock_t (Documentation/locking/spinlocks.rst): readers keep
// each other company even while a writer waits, which may starve it; any waiter may win once it
// can. Whoever cannot have it is not runnable, it does not spin. Its holders must not sleep.
#pragma once

#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

class Rwlock {
 public:
  using Where = std::source_location;

  explicit Rwlock(const LockClass& lock_class);
  Rwlock(const Rwlock&) = delete;
  Rwlock& operator=(const Rwlock&) = delete;

  void read_lock(Where where = Where::current());
  void read_unlock(Where where = Where::current());
  void write_lock(Where where = Where::current());
  void write_unlock(Where where = Where::current());

 private:
  void taken(Scheduler& s, bool shared, Where where);
  void dropped(Scheduler& s, Where where);

  const char* name_;
  mutable ObjectNumber number_;
  Gate readers_gate_, writers_gate_;
  TaskMask readers_ = 0;
  TaskId writer_ = kNoTask;
  std::uint8_t class_ = 0;
};

}  // namespace interleaf
