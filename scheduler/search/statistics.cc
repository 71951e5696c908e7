// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/statistics.h"

#include <algorithm>
#include <cmath>

#include "scheduler/check.h"

namespace interleaf {
namespace {

constexpr double kMiss = 0.05;                 // what 95 % confidence leaves
constexpr double kNormal = 1.959963984540054;  // 97.5 % of a normal distribution lie below

// A probability so small that 1 - p would round.
double pct_hit(std::uint64_t n, std::uint64_t k, unsigned d) {
  CHECK(n >= 1 && k >= 1 && d >= 1);
  return std::pow(static_cast<double>(k), -static_cast<double>(d - 1)) / static_cast<double>(n);
}

Interval clamped(double low, double high) { return {std::max(low, 0.0), std::min(high, 1.0)}; }

}  // namespace

double pct_miss_bound(std::uint64_t n, std::uint64_t k, unsigned d, std::uint64_t runs) {
  const double hit = pct_hit(n, k, d);
  if (runs == 0) return 1;
  return hit >= 1 ? 0 : std::exp(static_cast<double>(runs) * std::log1p(-hit));
}

double pct_runs_needed(std::uint64_t n, std::uint64_t k, unsigned d) {
  const double hit = pct_hit(n, k, d);
  return hit >= 1 ? 1 : std::ceil(std::log(kMiss) / std::log1p(-hit));
}

double unseen_rate_bound(std::uint64_t runs) {
  return runs == 0 ? 1 : -std::expm1(std::log(kMiss) / static_cast<double>(runs));
}

Interval wilson_interval(std::uint64_t hits, std::uint64_t runs) {
  CHECK(hits <= runs);
  if (runs == 0) return {0, 1};
  const auto n = static_cast<double>(runs);
  const double p = static_cast<double>(hits) / n;
  const double z2 = kNormal * kNormal;
  const double middle = p + z2 / (2 * n);
  const double half = kNormal * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  const double scale = 1 + z2 / n;
  // The ends of none and all are exact, not what rounding leaves of them.
  return clamped(hits == 0 ? 0 : (middle - half) / scale,
                 hits == runs ? 1 : (middle + half) / scale);
}

Interval first_hit_interval(std::uint64_t runs) {
  CHECK(runs >= 1);
  // P(a hit by this run) and P(none before this run) are 2.5 % at the ends.
  const auto n = static_cast<double>(runs);
  const double low = -std::expm1(std::log1p(-kMiss / 2) / n);
  const double high = runs == 1 ? 1 : -std::expm1(std::log(kMiss / 2) / (n - 1));
  return clamped(low, high);
}

ClassCounts::Entry& ClassCounts::place_of(std::uint64_t hash) {
  const std::size_t mask = entries_.size() - 1;
  std::size_t at = hash & mask;
  while (entries_[at].count != 0 && entries_[at].hash != hash) at = (at + 1) & mask;
  return entries_[at];
}

void ClassCounts::grow() {
  std::vector<Entry> old(entries_.empty() ? 1024 : 2 * entries_.size());
  old.swap(entries_);
  for (const Entry& entry : old) {
    if (entry.count != 0) place_of(entry.hash) = entry;
  }
}

void ClassCounts::add(const Hash128& hash) {
  if (full()) return;
  if (4 * (classes_ + 1) > 3 * entries_.size()) grow();
  Entry& entry = place_of(hash.low);
  entry.hash = hash.low;
  if (new_.empty()) new_.resize(kLately);
  new_[runs_++ % kLately] = entry.count == 0;
  switch (++entry.count) {
    case 1:
      ++classes_;
      ++once_;
      last_new_ = runs_;
      break;
    case 2:
      --once_;
      ++twice_;
      break;
    case 3:
      --twice_;
      break;
    default:
      break;
  }
}

std::uint64_t ClassCounts::new_lately() const {
  return static_cast<std::uint64_t>(std::count(new_.begin(), new_.end(), true));
}

double next_new_estimate(std::uint64_t seen_once, std::uint64_t runs) {
  return runs == 0 ? 1 : static_cast<double>(seen_once) / static_cast<double>(runs);
}

Interval next_new_interval(std::uint64_t seen_once, std::uint64_t seen_twice, std::uint64_t runs) {
  if (runs == 0) return {0, 1};
  const auto n = static_cast<double>(runs);
  const auto f1 = static_cast<double>(seen_once);
  const auto f2 = static_cast<double>(seen_twice);
  const double half = kNormal * std::sqrt(std::max(f1 + 2 * f2 - f1 * f1 / n, 0.0)) / n;
  const Interval wilson = wilson_interval(seen_once, runs);
  return clamped(std::min(f1 / n - half, wilson.low), std::max(f1 / n + half, wilson.high));
}

double unseen_classes(std::uint64_t seen_once, std::uint64_t seen_twice) {
  const auto f1 = static_cast<double>(seen_once);
  const auto f2 = static_cast<double>(seen_twice);
  if (seen_twice != 0) return f1 * f1 / (2 * f2);
  return seen_once == 0 ? 0 : f1 * (f1 - 1) / 2;
}

}  // namespace interleaf
