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

#include <cstdint>

#include "scheduler/access.h"

namespace interleaf {

// Operations of one class commute with each other; of two classes, they do not.
enum class CommutingClass : std::uint8_t { kExclusive, kReads, kSharedHolders, kRcuReaders };

// By bits, since a jump for each operation that is looked at would be mispredicted.
constexpr CommutingClass commuting_class(Op op) {
  constexpr auto bits = [](Op of, CommutingClass as) {
    return static_cast<std::uint64_t>(as) << 2 * static_cast<unsigned>(of);
  };
  constexpr std::uint64_t classes = bits(Op::kRead, CommutingClass::kReads) |
                                    bits(Op::kAwait, CommutingClass::kReads) |
                                    bits(Op::kAcquireShared, CommutingClass::kSharedHolders) |
                                    bits(Op::kReleaseShared, CommutingClass::kSharedHolders) |
                                    bits(Op::kRcuLock, CommutingClass::kRcuReaders) |
                                    bits(Op::kRcuUnlock, CommutingClass::kRcuReaders);
  static_assert(static_cast<unsigned>(Op::kAwait) < 32, "two bits for each");
  return static_cast<CommutingClass>(classes >> 2 * static_cast<unsigned>(op) & 3);
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
