// SPDX-License-Identifier: GPL-2.0-only
// A finding with the fewest preemptions there are, and the proof. The schedule is reduced first
// (minimize.h). Then the bounded search (bounded.h) goes through all orders with no preemption, all
// with one, and so on, up to as many as are left: the first finding it comes to has the fewest, and
// every level below was seen whole. What it found depends on the program and the finding alone, not
// on the schedule one began with, so that the same bug gives the same run.
#pragma once

#include <cstdint>
#include <functional>

#include "scheduler/search/minimize.h"
#include "scheduler/search/retry_limit.h"

namespace interleaf {

struct MinimumOptions {
  RunOptions run;                      // the seed is not used
  std::uint64_t tries_max = 4000;      // of each step of reduce()
  std::uint64_t search_runs = 20'000;  // of the bounded search, pruned ones included; 0: none
  std::uint64_t search_prefixes = 8'000'000;  // that it remembers, 16 to 64 bytes each
  double search_seconds = 0;                  // 0: no limit
  // Of the bounded search alone (RunOptions::retries_max). If it cuts an order, nothing is known of
  // how that goes on, and clean_up_to is -1.
  std::uint32_t search_retries = 0;
};

struct MinimumResult {
  MinimizeResult found;
  std::uint64_t preemptions_given = 0;    // in the run of the schedule
  std::uint64_t preemptions_reduced = 0;  // before the search
  // All orders with at most so many preemptions were seen, and none has the finding; -1: unknown.
  int clean_up_to = -1;
  std::uint64_t orders = 0;     // how many those are
  bool other_findings = false;  // some of them had another one
  // The search did not find what there is: tasks share something that they do not announce. Then
  // nothing else is claimed.
  bool hidden_dependence = false;
  // `found` is the search's own, whatever the schedule was.
  bool canonical = false;
  RetryCuts retry_cuts;     // orders of the search
  const char* budget = "";  // of the search, if it ran out: "runs", "memory" or "time"
  std::uint64_t runs = 0;   // of everything

  // No run has the finding with fewer preemptions: as far as the search can be relied on
  // (bounded.h).
  bool is_minimum() const {
    return static_cast<std::int64_t>(found.run.preemptions) == clean_up_to + 1;
  }
};

// `same` says whether a run has the finding in question. Requires: the run of `schedule` has it.
MinimumResult minimum(World& world, const Schedule& schedule, const MinimumOptions& options,
                      const std::function<bool(const RunResult&)>& same);

}  // namespace interleaf
