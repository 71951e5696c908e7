// SPDX-License-Identifier: GPL-2.0-only
// The judge of every search: runs each schedule of a program, with each value of each data choice,
// one by one from the start. No cache, no reduction, no snapshot.
//
// It checks OrderHash on the way: it writes the partial order of each run down in full, with clocks
// and with a table of its own of what commutes, and compares.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "scheduler/search/order_hash.h"
#include "scheduler/world.h"

namespace interleaf {

// The signatures of all findings of a run. Not of lock orders: which task closes a circle depends
// on more than the order of what is dependent.
std::set<std::string> signatures_of(const RunResult& run);

struct BruteForceOptions {
  std::uint64_t runs_max = 60'000;
  RunOptions run;  // the seed is not used
  std::function<std::set<std::string>(const RunResult&)> signatures = signatures_of;
};

struct BruteForceResult {
  bool complete = false;  // not stopped by runs_max
  std::uint64_t interleavings = 0;
  // With the fewest preemptions that lead to it.
  std::map<Hash128, std::uint64_t> classes;
  std::map<std::string, std::uint64_t> signatures;
  // What OrderHash had wrong: one order with two hashes, or two orders with one. Empty: nothing.
  std::string hash_error;

  std::set<Hash128> classes_within(std::uint64_t preemptions) const;
  std::set<std::string> signatures_within(std::uint64_t preemptions) const;
};

// `world` must not be paused; it is left in any state.
BruteForceResult brute_force(World& world, const BruteForceOptions& options = {});

}  // namespace interleaf
