// SPDX-License-Identifier: GPL-2.0-only
// What the runs of a fuzzing search came to, strategy by strategy: runs are added in order of
// seeds, and the sums say which statements of scheduler/search/statistics.h hold. A portfolio
// counts as the strategies it is made of: what holds for runs of one need not hold for a mixture.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "scheduler/search/statistics.h"
#include "scheduler/strategies/pct.h"
#include "scheduler/strategy.h"

namespace interleaf {

// What is kept of every run, for a while.
struct RunNote {
  std::string_view strategy;  // that decided; of a portfolio, its member
  bool found = false;         // something that counts
  std::optional<PctRun> pct;
  // If the run was watched: its order, and its handoffs that the thread had not seen before.
  std::optional<Hash128> order;
  std::vector<std::uint64_t> handoffs;
};

// The note of the run that `strategy`, called `name`, has just made; without order and findings.
RunNote note_of(const Strategy& strategy, std::string_view name);

// False for strategies that make the same run of every seed: nothing is sampled then.
bool draws_from_seed(std::string_view strategy);

// The runs of PCT: if any was outside of what the bound is for, there is none.
struct PctRuns {
  std::map<unsigned, std::uint64_t> by_depth;
  std::uint32_t decisions_max = 0;          // the largest number that a run had
  std::uint32_t decisions_assumed_min = 0;  // the smallest that changes were spread over
  std::uint32_t decisions_assumed_max = 0;
  std::uint64_t bent = 0;  // runs in which a task polled

  // The bound's k: the largest.
  std::uint32_t k() const { return decisions_assumed_max; }
  bool bound_holds() const { return bent == 0 && decisions_max <= decisions_assumed_min; }
};

// The runs of one strategy.
struct StrategyRuns {
  std::uint64_t runs = 0;
  std::uint64_t found = 0;
  ClassCounts orders;  // of those runs whose order was hashed
  std::optional<PctRuns> pct;

  void add(const RunNote& note);
};

// All runs. Handoffs are those of scheduler/search/coverage.h, of the runs that were watched.
struct FuzzStatistics {
  std::map<std::string, StrategyRuns, std::less<>> strategies;
  std::uint64_t watched = 0;
  std::uint64_t handoffs = 0;
  std::uint64_t handoff_last_new = 0;  // the watched run that had the last new one, from 1

  void add(const RunNote& note);

 private:
  std::unordered_set<std::uint64_t> seen_;  // asked for what is in it, never walked
};

}  // namespace interleaf
