// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/order_hash.h"

#include <algorithm>
#include <bit>

namespace interleaf {
namespace {

// The mixer of splitmix64.
constexpr std::uint64_t scramble(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

constexpr Hash128 hash_of(std::uint64_t word, std::uint64_t kind) {
  return {scramble(word + 0x9e3779b97f4a7c15 * (kind + 1)), scramble(~word + (kind << 56))};
}

// Polling has an order among its own kind, as if on an object of its own.
constexpr std::uint32_t kPolling = 0;

}  // namespace

void Hash128::mix(const Hash128& other) {
  const std::uint64_t a = scramble(low ^ std::rotl(other.low, 23));
  const std::uint64_t b = scramble(high + 0xd1b54a32d192ed03 + 3 * other.high);
  low = scramble(a + 0x9e3779b97f4a7c15 * b);
  high = scramble(b ^ std::rotl(a, 31));
}

void OrderHash::clear() {
  objects_.clear();
  total_ = {};
  for (unsigned i = 0; i < kTasksMax; ++i) tasks_[i] = hash_of(i, 1);
}

OrderHash::Object& OrderHash::at(std::uint32_t number) {
  if (number >= objects_.size()) objects_.resize(std::max(2 * objects_.size(), number + 64ul));
  return objects_[number];
}

void OrderHash::event(TaskId task, const Access& access) {
  Hash128 hash = tasks_[task];
  hash.mix(hash_of(static_cast<std::uint64_t>(access.op), 2));
  if (access.object != kPrivateObject || access.op == Op::kRelax) {
    Object& object = at(access.op == Op::kRelax ? kPolling : access.object);
    const CommutingClass group = commuting_class(access.op);
    if (group != object.group || group == CommutingClass::kExclusive) {
      // What was done since the last exclusive event is before this one, all of it.
      if (object.commuting != Hash128{}) object.exclusive.mix(object.commuting);
      object.commuting = {};
      object.group = group;
    }
    hash.mix(object.exclusive);
    if (group == CommutingClass::kExclusive) {
      object.exclusive = hash;
    } else {
      object.commuting.add(hash);
    }
  }
  tasks_[task] = hash;
  total_.add(hash);
}

void OrderHash::value(TaskId task, unsigned value) {
  tasks_[task].mix(hash_of(value, 3));
  total_.add(tasks_[task]);
}

Hash128 OrderHash::object(std::uint32_t number) const {
  Hash128 hash;
  if (number >= objects_.size()) return hash;
  const Object& object = objects_[number];
  if (object.exclusive == Hash128{} && object.commuting == Hash128{}) return hash;
  hash.mix(object.exclusive);
  hash.mix(object.commuting);
  return hash;
}

}  // namespace interleaf
