// SPDX-License-Identifier: GPL-2.0-only
// What would keep a cause from happening, tried: the bounded search (bounded.h) once more, with
// the order enforced by a choice filter, and whether the finding is still there.
//
// - Atomicity: while the own task is between the first access and the last one, a task that
//   announced an access dependent with what the own task did in there, or is about to do, is held.
// - Order: the own task is held before the first access until the other task made the foreign one
//   or has ended.
//
// Accesses are known by task, operation, and line of the program: what comes to them again, in a
// loop, is held again. The own task leaves its region with the outermost function too. Which region
// a task is in follows from what it did alone, and what is held from what tasks did and announce:
// the cache of the search stays right. Accesses that are made besides an announced one
// (Strategy::also) hold nobody. Where nobody else could go on, whoever was held may: a lock would
// have deadlocked there. Such runs prove nothing and are counted.
//
// If the search is out of budget, cheaper tries follow: the old order of steps, as far as the
// enforced one lets it, where the task that is held goes on as soon as it may, then in further runs
// one step later each; and a sample of pos. A run of these that keeps the order and has the finding
// is answer enough.
#pragma once

#include <cstdint>
#include <functional>

#include "scheduler/search/bounded.h"
#include "scheduler/search/cause.h"

namespace interleaf {

enum class Enforced : std::uint8_t {
  kCloses,     // no run within the bound has the finding, all were seen, none was given up
  kLeaves,     // a run has it
  kDeadlocks,  // none has it, but in some the order could not be kept
  kUndecided,  // none of those seen has it, and the budget was spent
};

struct EnforceResult {
  Enforced outcome = Enforced::kUndecided;
  std::uint64_t preemptions = 0;  // kLeaves: of a run with the finding, by the search the fewest
  const char* found_by = "";      // kLeaves after a search in vain: "the old order", "a random run"
  unsigned bound = 0;             // of the search
  std::uint64_t orders = 0;
  std::uint64_t runs = 0;      // that came to their end
  std::uint64_t given_up = 0;  // of these: where the order could not be kept
  const char* budget = "";     // kUndecided: which was spent
};

struct EnforceOptions {
  RunOptions run;
  Schedule schedule;                 // of the run with the finding; empty: the search alone
  unsigned preemptions = 0;          // the bound: those of the run with the finding
  std::uint64_t sample_runs = 3000;  // after it, if there is a schedule
  std::uint64_t runs_max = 20'000;   // pruned ones included
  std::uint64_t prefixes_max = 8'000'000;
};

// `same` says whether a run has the finding in question.
EnforceResult test_enforced(World& world, const CauseGroup& group, const EnforceOptions& options,
                            const std::function<bool(const RunResult&)>& same);

}  // namespace interleaf
