// SPDX-License-Identifier: GPL-2.0-only
// Looks for state that tasks share without announcing it: the same events in another order that
// leave a task at another access, and runs of the same order that end differently. What it finds
// is real; that it finds nothing proves little. Thread-safe; remembers every prefix, at a hundred
// bytes each and more.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/scheduler.h"
#include "scheduler/search/order_hash.h"

namespace interleaf {

class CacheCheck {
 public:
  // The run is before a choice among `runnable`; `announced` is PrefixKey's.
  void prefix(const Scheduler& s, const OrderHash& order, TaskMask runnable,
              std::uint64_t announced);
  // A run of this order came to this outcome.
  void outcome(const Hash128& order, const std::string& signature);
  // The first difference in words; empty: none was seen.
  std::string found() const;

 private:
  struct Announced {
    std::uint64_t hash = 0;
    std::vector<std::string> tasks;
  };
  struct HashOfHash {
    std::size_t operator()(const Hash128& hash) const { return hash.low; }
  };

  mutable std::mutex mutex_;
  std::unordered_map<Hash128, Announced, HashOfHash> announced_;
  std::unordered_map<Hash128, std::string, HashOfHash> outcomes_;
  std::string found_;
};

}  // namespace interleaf
