// SPDX-License-Identifier: GPL-2.0-only
// What all exclusive locks share: one owner, an acquisition that is enabled while there is none,
// lock order and holders told to the scheduler. Any waiter may win once the lock is free.
// Outside a run (setup, reports) locks are always free and cost nothing.
#pragma once

#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

class Exclusive {
 public:
  using Where = std::source_location;

  explicit Exclusive(const LockClass& lock_class) : name_(lock_class.name) {
    if (Scheduler* s = Scheduler::instance()) class_ = s->lock_class_index(lock_class);
  }
  Exclusive(const Exclusive&) = delete;
  Exclusive& operator=(const Exclusive&) = delete;

  bool held_by_me() const {
    Scheduler* s = Scheduler::current();
    return s == nullptr || owner_ == s->current_id();
  }
  // Part of the step under way, with no point of its own: for assertions and for what the kernel
  // reads together with something else.
  bool look_locked(Where where = Where::current()) const {
    if (Scheduler* s = Scheduler::current()) s->also(Op::kRead, number_, this, where);
    return owner_ != kNoTask;
  }
  bool peek_locked() const { return owner_ != kNoTask; }
  TaskId owner() const { return owner_; }

 protected:
  void acquire(Scheduler& s, Where where) {
    s.lock_wanted(this, class_, where);
    s.gated_point(Op::kAcquire, number_, this, gate_, owner_ == kNoTask, name_, where);
    take(s, where);
  }
  bool try_acquire(Scheduler& s, Where where) {
    s.point(Op::kTryAcquire, number_, this, true, where);
    if (owner_ != kNoTask) return false;
    take(s, where);
    return true;
  }
  void release(Scheduler& s, Where where) {
    s.point(Op::kRelease, number_, this, true, where);
    owner_ = kNoTask;
    s.open(gate_);
    s.lock_dropped(this, where);
  }
  // The lock stays taken, but by nobody who could be named.
  void give_away(Scheduler& s, Where where) {
    owner_ = kGivenAway;
    s.lock_dropped(this, where);
  }
  void release_given(Scheduler& s, Where where) {
    s.point(Op::kRelease, number_, this, true, where);
    owner_ = kNoTask;
    s.open(gate_);
  }
  // Blocks until the lock is free, without taking it.
  void await_free(Scheduler& s, Where where) {
    s.gated_point(Op::kWait, number_, this, gate_, owner_ == kNoTask, name_, where,
                  Order::kAcquire);
  }
  bool test(Where where) const {
    if (Scheduler* s = Scheduler::current()) s->point(Op::kRead, number_, this, true, where);
    return owner_ != kNoTask;
  }

 private:
  static constexpr TaskId kGivenAway = 0xfd;

  void take(Scheduler& s, Where where) {
    owner_ = s.current_id();
    s.close(gate_);
    s.lock_taken(this, class_, false, where);
  }

  Gate gate_;
  const char* name_;
  mutable ObjectNumber number_;
  TaskId owner_ = kNoTask;
  std::uint8_t class_ = 0;
};

}  // namespace interleaf
