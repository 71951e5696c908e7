// SPDX-License-Identifier: GPL-2.0-only
// What a number of random runs says about the runs that were not made. Every function is pure and
// names what it rests on; whoever prints a result has to see to it that this holds. Doubles are
// for printing alone: nothing in a run or a search is decided by them.
//
// All but the counter rest on runs that are independent and drawn alike: seeds of one strategy that
// learns nothing from earlier runs, and a number of runs that their outcomes did not decide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "scheduler/search/order_hash.h"

namespace interleaf {

// Both ends in [0, 1] where it is one of a probability.
struct Interval {
  double low = 0;
  double high = 0;
};

// An upper bound on the probability that `runs` runs of PCT with exactly depth d all miss a bug of
// depth d: (1 - 1/(n k^(d-1)))^runs (Burckhardt et al., ASPLOS 2010). 1 if runs is 0.
// Rests on: n tasks at most, no run with more than k decisions, PCT's change points spread over k,
// and no task that polls. Requires: n, k, d >= 1.
double pct_miss_bound(std::uint64_t n, std::uint64_t k, unsigned d, std::uint64_t runs);
// The runs for which that is at most 0.05, rounded up; at least 1. May be beyond 2^64.
double pct_runs_needed(std::uint64_t n, std::uint64_t k, unsigned d);

// Nothing in `runs` runs: what happens in this share of runs or more would have been seen with 95 %
// confidence, 1 - 0.05^(1/runs). 1 if runs is 0.
double unseen_rate_bound(std::uint64_t runs);

// 95 % interval of the probability of what was seen in `hits` of `runs` runs (Wilson 1927). Rests
// on a number of runs that was not decided by the hits. {0, 1} if runs is 0.
// Requires: hits <= runs.
Interval wilson_interval(std::uint64_t hits, std::uint64_t runs);
// The same if the runs ended with the first hit, exact (tails of the geometric distribution).
// Requires: runs >= 1.
Interval first_hit_interval(std::uint64_t runs);

// How often each class of runs came up: a map of hashes to counts in bounded memory.
class ClassCounts {
 public:
  static constexpr std::size_t kClassesMax = std::size_t{1} << 19;

  // Memory: 16 bytes times 4/3 to 8/3 per class, 16 MiB with the default (24 MiB while it grows).
  // Requires: classes_max >= 1.
  explicit ClassCounts(std::size_t classes_max = kClassesMax) : classes_max_(classes_max) {}

  // Counts a run. Once there are classes_max classes it is full and counts nothing any more: what
  // it says holds for the runs counted until then. Classes are told apart by 64 bits of the hash.
  void add(const Hash128& hash);

  std::uint64_t runs() const { return runs_; }
  std::uint64_t classes() const { return classes_; }
  std::uint64_t seen_once() const { return once_; }
  std::uint64_t seen_twice() const { return twice_; }
  bool full() const { return classes_ == classes_max_; }
  // The run that showed the last new class, from 1; 0: none.
  std::uint64_t last_new() const { return last_new_; }
  // Classes that were new in the last kLately runs; of all runs if they are fewer.
  static constexpr std::uint64_t kLately = 1000;
  std::uint64_t new_lately() const;

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::uint64_t count = 0;  // 0: a free place
  };
  Entry& place_of(std::uint64_t hash);
  void grow();

  std::size_t classes_max_;
  std::vector<Entry> entries_;  // open addressing; a power of two
  std::uint64_t runs_ = 0;
  std::uint64_t classes_ = 0;
  std::uint64_t once_ = 0;
  std::uint64_t twice_ = 0;
  std::uint64_t last_new_ = 0;
  std::vector<bool> new_;  // of the last kLately runs, as a ring
};

// The probability that the next run shows a class not seen so far: Good-Turing (Good 1953), the
// number of classes seen once divided by the runs. 1 if there were none.
double next_new_estimate(std::uint64_t seen_once, std::uint64_t runs);
// About 95 % around it: the wider of Esty's normal limit (Ann. Stat. 1983) and of Wilson's interval
// at each end, since the former says nothing if no class was seen once.
Interval next_new_interval(std::uint64_t seen_once, std::uint64_t seen_twice, std::uint64_t runs);

// Chao's lower bound on the number of classes not seen (Chao 1984): f1^2 / (2 f2), or, if none was
// seen twice, f1 (f1 - 1) / 2. An estimate of a bound: there may well be many more.
double unseen_classes(std::uint64_t seen_once, std::uint64_t seen_twice);

}  // namespace interleaf
