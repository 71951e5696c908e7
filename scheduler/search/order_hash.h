// SPDX-License-Identifier: GPL-2.0-only
// A hash of what a run so far means: of its events with the order of those that depend on each
// other, and of nothing else. Two prefixes of runs have equal hashes iff one becomes the other by
// exchanging neighbours that commute (up to collisions in 128 bits). Constant time per event.
//
// Objects have no names in it: which object an event touches follows from what its task has seen
// before, and that is in the task's hash. Numbers of objects would not do, since they depend on
// which of two independent tasks came first. What commutes is said in dependence.h.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/dependence.h"

namespace interleaf {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
  bool operator<(const Hash128& other) const {
    return high != other.high ? high < other.high : low < other.low;
  }

  // Sums forget the order of what is added.
  void add(const Hash128& other) {
    low += other.low;
    high += other.high;
  }
  // Becomes a hash of itself and then `other`.
  void mix(const Hash128& other);
};

class OrderHash {
 public:
  void clear();
  // `task` performs what it announced.
  void event(TaskId task, const Access& access);
  // The data choice that `task` has just performed came out as `value`.
  void value(TaskId task, unsigned value);

  const Hash128& total() const { return total_; }
  // What was done to an object so far: the same in every prefix of the same meaning.
  Hash128 object(std::uint32_t number) const;

 private:
  struct Object {
    Hash128 exclusive;  // its last event that does not commute with those below
    Hash128 commuting;  // the sum of the events since
    CommutingClass group = CommutingClass::kExclusive;
  };
  Object& at(std::uint32_t number);

  std::vector<Object> objects_;  // by number
  Hash128 tasks_[kTasksMax];
  Hash128 total_;
};

}  // namespace interleaf
