// SPDX-License-Identifier: GPL-2.0-only
// A reference count that reports its own misuse: a put below zero, a get from zero.
#pragma once

#include <source_location>
#include <string>

#include "scheduler/sync/atomic.h"

namespace interleaf {

class Refcount {
 public:
  using Where = std::source_location;

  // `role` names the counted object in findings; static storage duration.
  explicit constexpr Refcount(const char* role, int value = 1) : count_(value), role_(role) {}

  int read(Where where = Where::current()) const { return count_.read(where); }
  void set(int value, Where where = Where::current()) { count_.set(value, where); }

  // Requires: somebody holds a reference already; a get from zero is a finding.
  void add(int delta, Where where = Where::current()) {
    if (count_.add_return_relaxed(delta, where) - delta <= 0)
      misuse("a reference was taken from zero");
  }
  void get(Where where = Where::current()) { add(1, where); }
  // True if the count was not zero and a reference was taken.
  bool try_get(int delta = 1, Where where = Where::current()) {
    return count_.add_unless(delta, 0, where);
  }
  // Drops `delta` references; true if they were the last.
  bool put(int delta = 1, Where where = Where::current()) {
    const int left = count_.add_return(-delta, where);
    if (left < 0) misuse("the count fell below zero");
    return left == 0;
  }
  // Sets the count to zero if it is exactly `expected`: nobody else can take a reference.
  bool freeze(int expected, Where where = Where::current()) {
    return count_.cmpxchg(expected, 0, where) == expected;
  }
  void unfreeze(int value, Where where = Where::current()) {
    if (count_.look() != 0) misuse("unfreeze of a count that is not frozen");
    count_.set_release(value, where);
  }

  int look() const { return count_.look(); }  // part of the step under way, no point
  int peek() const { return count_.peek(); }
  void poke(int value) { count_.poke(value); }

 private:
  void misuse(const char* what) {
    if (Scheduler* s = Scheduler::current()) s->report(FindingKind::kRefcount, role_, what, true);
  }

  Atomic<int> count_;
  const char* role_;
};

}  // namespace interleaf
