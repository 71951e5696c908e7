// SPDX-License-Identifier: GPL-2.0-only
// What the runs of a bounded search, or of DPOR (dpor.h), came to, as far as that does not depend
// on their order: sums and least elements. Workers have one each; merging them is commutative.
// Internal to the searches.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/search/order_hash.h"
#include "scheduler/search/retry_limit.h"
#include "scheduler/strategy.h"

namespace interleaf {

// Of all runs with one signature the one that is reported, as found.
struct BoundedHit {
  std::uint64_t preemptions = 0;
  std::uint64_t steps = 0;
  Hash128 order;
  Schedule schedule;
  std::uint64_t count = 0;  // orders
  bool judged = false;      // by BoundedOptions::judge: runs do not show it

  bool before(const BoundedHit& other) const;
};

// The schedules of the orders with the least hashes: a sample that does not depend on who came
// first.
class OrderSample {
 public:
  explicit OrderSample(std::size_t most) : most_(most) {}
  void offer(const Hash128& order, const Schedule& schedule);
  void merge(const OrderSample& other);
  const std::map<Hash128, Schedule>& schedules() const { return schedules_; }

 private:
  std::size_t most_;
  std::map<Hash128, Schedule> schedules_;
};

struct BoundedTally {
  explicit BoundedTally(std::size_t sample_max) : sample(sample_max) {}

  std::uint64_t classes = 0;
  std::uint64_t runs = 0;
  std::uint64_t pruned = 0;
  std::uint64_t cut = 0;
  std::map<std::string, BoundedHit> hits;
  std::map<std::string, std::uint64_t> known;
  OrderSample sample;
  RetryCuts retry_cuts;

  void merge(const BoundedTally& other);
};

}  // namespace interleaf
