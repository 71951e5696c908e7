// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/bounded_tally.h"

#include <iterator>
#include <tuple>

namespace interleaf {

bool BoundedHit::before(const BoundedHit& other) const {
  return std::tie(preemptions, steps, order) <
         std::tie(other.preemptions, other.steps, other.order);
}

void OrderSample::offer(const Hash128& order, const Schedule& schedule) {
  if (most_ == 0) return;
  if (schedules_.size() == most_ && !(order < schedules_.rbegin()->first)) return;
  schedules_.emplace(order, schedule);
  if (schedules_.size() > most_) schedules_.erase(std::prev(schedules_.end()));
}

void OrderSample::merge(const OrderSample& other) {
  for (const auto& [order, schedule] : other.schedules_) offer(order, schedule);
}

void BoundedTally::merge(const BoundedTally& other) {
  classes += other.classes;
  runs += other.runs;
  pruned += other.pruned;
  cut += other.cut;
  for (const auto& [signature, hit] : other.hits) {
    const auto [mine, is_new] = hits.emplace(signature, hit);
    if (is_new) continue;
    const std::uint64_t count = mine->second.count + hit.count;
    if (hit.before(mine->second)) mine->second = hit;
    mine->second.count = count;
  }
  for (const auto& [signature, count] : other.known) known[signature] += count;
  sample.merge(other.sample);
  retry_cuts.merge(other.retry_cuts);
}

}  // namespace interleaf
