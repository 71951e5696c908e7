// SPDX-License-Identifier: GPL-2.0-only
// A count of those who use something, and a wait until there are none: jbd2's t_updates with
// j_wait_updates, or any count whose last user wakes who waits for zero. enter() is part of the
// step under way: the caller holds a lock that keeps it apart from busy() and drain(). leave()
// commutes with other leaves. Reports of hangs and lock order know the users by name
// (Scheduler::claim).
#pragma once

#include <cstdint>
#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

class UserCount {
 public:
  using Where = std::source_location;

  explicit UserCount(const LockClass& lock_class) : name_(lock_class.name) {
    if (Scheduler* s = Scheduler::instance()) class_ = s->lock_class_index(lock_class);
  }
  UserCount(const UserCount&) = delete;
  UserCount& operator=(const UserCount&) = delete;

  void enter(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->also(Op::kAcquireShared, number_, this, where);
    ++users_;
    s->close(gate_);
    s->claim(this, class_, true, where);
  }
  // Requires: the task entered.
  void leave(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->point(Op::kReleaseShared, number_, this, true, where);
    --users_;
    s->lock_dropped(this, where);
    if (users_ == 0) s->open(gate_);
  }
  bool busy(Where where = Where::current()) const {
    if (Scheduler* s = Scheduler::current()) {
      s->point(Op::kRead, number_, this, true, where, Order::kAcquire);
    }
    return users_ != 0;
  }
  // Sleeps until there are no users. There may be new ones by the time the caller looks.
  void drain(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->might_sleep(where);
    s->lock_wanted(this, class_, where);
    s->gated_point(Op::kAcquire, number_, this, gate_, users_ == 0, name_, where);
    s->acquired(number_);
  }

  std::uint32_t peek_users() const { return users_; }

 private:
  Gate gate_;
  const char* name_;
  mutable ObjectNumber number_;
  std::uint32_t users_ = 0;
  std::uint8_t class_ = 0;
};

}  // namespace interleaf
