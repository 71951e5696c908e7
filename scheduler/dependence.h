// SPDX-License-Identifier: GPL-2.0-only
// Which announced accesses are dependent: performed next to each other in the other order, they
// may lead to another state. Errs on the safe side: an operation that is not known to commute is
// dependent on every other one of its object.
//
//   object          commute with each other         dependent on everything of the object
//   variable, bit   read, load once it satisfies    write, read-modify-write, wait
//   mutex, bit lock -                               acquire, release, try, wait until free
//   rwsem, rwlock   shared acquire, shared release  acquire, release, downgrade, try, granted
//   wait queue,     -                               wait, granted, wake (one waiter or a count)
//   completion
//   the same, once  wait                            wake
//   and for good
//   semaphore       up                              down, trylock, granted
//   user count      enter, leave                    busy, drain
//   thread          -                               start, begin, end, join
//   RCU             read lock, read unlock          start and end of a grace period
//   private         all: nobody else can see it     -
//   relax           private; reads what it polled   -
//
// A step may make more accesses than the one it announced (Strategy::also): two steps are
// dependent if any two of theirs are.
#pragma once

#include "scheduler/access.h"

namespace interleaf {

// Operations of one class commute with each other; of two classes, they do not.
enum class CommutingClass : std::uint8_t { kExclusive, kReads, kSharedHolders, kRcuReaders };

constexpr CommutingClass commuting_class(Op op) {
  switch (op) {
    case Op::kRead:
    case Op::kAwait:
      return CommutingClass::kReads;
    case Op::kAcquireShared:
    case Op::kReleaseShared:
      return CommutingClass::kSharedHolders;
    case Op::kRcuLock:
    case Op::kRcuUnlock:
      return CommutingClass::kRcuReaders;
    default:
      return CommutingClass::kExclusive;
  }
}

// Of two operations on one object.
constexpr bool conflict(Op a, Op b) {
  const CommutingClass a_class = commuting_class(a);
  return a_class == CommutingClass::kExclusive || a_class != commuting_class(b);
}

constexpr bool dependent(const Access& a, const Access& b) {
  return a.object == b.object && a.object != kPrivateObject && conflict(a.op, b.op);
}

}  // namespace interleaf
