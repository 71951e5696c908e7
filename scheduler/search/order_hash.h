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
#include <string_view>
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

// The mixer of splitmix64.
constexpr std::uint64_t scramble(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

Hash128 hash_of_text(std::string_view text);

class OrderHash {
 public:
  void clear();
  // `task` performs what it announced.
  void event(TaskId task, const Access& access) { event(task, access.op, access.object); }
  // The same; or what the step of `task` does besides (Strategy::also).
  void event(TaskId task, Op op, std::uint32_t object);
  // The data choice that `task` has just performed came out as `value`.
  void value(TaskId task, unsigned value);

  const Hash128& total() const { return total_; }
  // What a task did so far, with all that came before it.
  const Hash128& task(TaskId id) const { return tasks_[id]; }
  // What was done to an object so far: the same in every prefix of the same meaning.
  Hash128 object(std::uint32_t number) const;
  // The same in a cheaper form, to be hashed further; 0 if nothing was.
  std::uint64_t past(std::uint32_t number) const {
    if (number >= objects_.size()) return 0;
    const Object& object = objects_[number];
    return object.exclusive.low + 3 * object.commuting.low;
  }

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
