// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/crash_states.h"

#include <algorithm>
#include <bit>
#include <set>

namespace interleaf {

void EventSet::add_all(const EventSet& other) {
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
}

bool EventSet::contains(const EventSet& other) const {
  for (std::size_t i = 0; i < words_.size(); ++i) {
    if ((other.words_[i] & ~words_[i]) != 0) return false;
  }
  return true;
}

std::size_t EventSet::count() const {
  std::size_t count = 0;
  for (const std::uint64_t word : words_) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}

EventOrder::EventOrder(std::size_t events,
                       const std::function<bool(std::size_t, std::size_t)>& before) {
  for (std::size_t j = 0; j < events; ++j) {
    EventSet& set = before_.emplace_back(events);
    for (std::size_t i = 0; i < j; ++i) {
      if (before(i, j)) set.add(i);
    }
  }
}

EventSet EventOrder::smallest_with(std::size_t event) const {
  EventSet set = before_[event];
  set.add(event);
  return set;
}

namespace {

class Walk {
 public:
  Walk(const EventOrder& order, const CrashStateOptions& options,
       const std::function<Hash128(const EventSet&)>& key,
       const std::function<bool(const EventSet&)>& judge)
      : order_(order), options_(options), key_(key), judge_(judge), set_(order.size()) {}

  CrashStates walk() {
    for (const std::size_t event : options_.first) {
      const EventSet set = order_.smallest_with(event);
      if (early_.insert(set).second && !visit(set)) return states_;
    }
    descend(0);
    return states_;
  }

 private:
  // A state taken apart in ascending order of its events is a state at every moment, since no event
  // comes before one with a lower number. So adding in that order alone meets each state once.
  bool descend(std::size_t next) {
    if (!early_.contains(set_) && !visit(set_)) return false;
    for (std::size_t event = next; event < order_.size(); ++event) {
      if (!set_.contains(order_.before(event))) continue;
      set_.add(event);
      const bool more = descend(event + 1);
      set_.remove(event);
      if (!more) return false;
    }
    return true;
  }

  bool visit(const EventSet& set) {
    if (options_.sets_max != 0 && states_.sets == options_.sets_max) {
      states_.complete = false;
      return false;
    }
    ++states_.sets;
    if (!seen_.insert(key_(set)).second) return true;
    ++states_.distinct;
    states_.complete = judge_(set);
    return states_.complete;
  }

  const EventOrder& order_;
  const CrashStateOptions& options_;
  const std::function<Hash128(const EventSet&)>& key_;
  const std::function<bool(const EventSet&)>& judge_;
  EventSet set_;
  std::set<EventSet> early_;
  std::set<Hash128> seen_;
  CrashStates states_;
};

}  // namespace

CrashStates for_each_crash_state(const EventOrder& order, const CrashStateOptions& options,
                                 const std::function<Hash128(const EventSet&)>& key,
                                 const std::function<bool(const EventSet&)>& judge) {
  return Walk(order, options, key, judge).walk();
}

}  // namespace interleaf
