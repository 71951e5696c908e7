// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/order_hash.h"

#include <algorithm>
#include <array>
#include <bit>

namespace interleaf {
namespace {

constexpr Hash128 hash_of(std::uint64_t word, std::uint64_t kind) {
  return {scramble(word + 0x9e3779b97f4a7c15 * (kind + 1)), scramble(~word + (kind << 56))};
}

// Hash128::mix() in place: an event does it two or three times.
[[gnu::always_inline]] inline Hash128 mixed(const Hash128& hash, const Hash128& other) {
  const std::uint64_t a = scramble(hash.low ^ std::rotl(other.low, 23));
  const std::uint64_t b = scramble(hash.high + 0xd1b54a32d192ed03 + 3 * other.high);
  return {scramble(a + 0x9e3779b97f4a7c15 * b), scramble(b ^ std::rotl(a, 31))};
}

// The hash of every operation.
constexpr auto kOps = [] {
  std::array<Hash128, 32> hashes{};
  for (unsigned op = 0; op < hashes.size(); ++op) hashes[op] = hash_of(op, 2);
  return hashes;
}();

}  // namespace

void Hash128::mix(const Hash128& other) { *this = mixed(*this, other); }

Hash128 hash_of_text(std::string_view text) {
  Hash128 hash{text.size(), 0};
  for (std::size_t at = 0; at < text.size(); at += 8) {
    std::uint64_t word = 0;
    for (const char c : text.substr(at, 8)) word = word << 8 | static_cast<unsigned char>(c);
    hash.mix({word, 0});
  }
  return hash;
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

void OrderHash::event(TaskId task, Op op, std::uint32_t number) {
  Hash128 hash = mixed(tasks_[task], kOps[static_cast<unsigned>(op) % kOps.size()]);
  if (number != kPrivateObject) {
    Object& object = at(number);
    const CommutingClass group = commuting_class(op);
    if (group != object.group || group == CommutingClass::kExclusive) {
      // What was done since the last exclusive event is before this one, all of it.
      if (object.commuting != Hash128{}) {
        object.exclusive = mixed(object.exclusive, object.commuting);
      }
      object.commuting = {};
      object.group = group;
    }
    hash = mixed(hash, object.exclusive);
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
