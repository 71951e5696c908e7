// SPDX-License-Identifier: GPL-2.0-only
// The states that a program can be stopped in, as far as some of its events go: of a partial order,
// all sets of events that contain with each event everything before it. Every such set, and no
// other, is what has happened at some moment of some run of the same order; so one run per order is
// enough to know all of them, and stopping at every step of every run adds nothing.
//
// Knows nothing of disks. Events are numbered as they came in the run, so the number of an event is
// above those of all events before it.
//
// Not thread-safe. Time: a set costs one step per event that could be added to it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "scheduler/search/order_hash.h"

namespace interleaf {

// Some of `size` events.
class EventSet {
 public:
  explicit EventSet(std::size_t size) : words_((size + 63) / 64) {}
  bool test(std::size_t event) const { return (words_[event / 64] >> (event % 64) & 1) != 0; }
  void add(std::size_t event) { words_[event / 64] |= std::uint64_t{1} << (event % 64); }
  void remove(std::size_t event) { words_[event / 64] &= ~(std::uint64_t{1} << (event % 64)); }
  void add_all(const EventSet& other);
  bool contains(const EventSet& other) const;
  std::size_t count() const;
  bool operator==(const EventSet&) const = default;
  bool operator<(const EventSet& other) const { return words_ < other.words_; }

 private:
  std::vector<std::uint64_t> words_;
};

class EventOrder {
 public:
  // `before(i, j)`, for i < j: whether event i comes before j in every run. Must be transitive.
  EventOrder(std::size_t events, const std::function<bool(std::size_t i, std::size_t j)>& before);

  std::size_t size() const { return before_.size(); }
  // What comes before an event, without itself.
  const EventSet& before(std::size_t event) const { return before_[event]; }
  // The smallest state that the event is in.
  EventSet smallest_with(std::size_t event) const;

 private:
  std::vector<EventSet> before_;
};

struct CrashStateOptions {
  // The smallest states with these events come first: what they show, they show plainly.
  std::vector<std::size_t> first;
  std::uint64_t sets_max = 0;  // 0: no limit
};

struct CrashStates {
  std::uint64_t sets = 0;      // gone through
  std::uint64_t distinct = 0;  // of them, by key: those judged
  bool complete = true;        // false: sets_max was reached, or judge() had enough
};

// Calls judge() once for every value of key(): with the first set that has it. judge() returns
// false to end the search.
CrashStates for_each_crash_state(const EventOrder& order, const CrashStateOptions& options,
                                 const std::function<Hash128(const EventSet&)>& key,
                                 const std::function<bool(const EventSet&)>& judge);

}  // namespace interleaf
