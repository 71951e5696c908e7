// SPDX-License-Identifier: GPL-2.0-only
// Iterative context bounding (Musuvathi, Qadeer: "Iterative context bounding for systematic testing
// of multithreaded programs", 2007) with a cache of happens-before orders ("Partial-order reduction
// for context-bounded state exploration", 2007): all orders of a program with no preemption, then
// all with one, and so on. A preemption is a switch away from a task that could go on; data choices
// and switches at a block or an end are free. The first finding has the fewest preemptions.
//
// The cache remembers prefixes by order (OrderHash), running task, and what every task announced.
// A run whose prefix was seen ends there: with levels in ascending order it had no more preemptions
// when it was seen. What a level may not do is kept as the seeds of the next one.
//
// Holds for programs whose tasks share nothing that they do not announce. `verify_cache` looks for
// such hidden dependences; what it finds is real, that it finds nothing proves little.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "scheduler/search/order_hash.h"
#include "scheduler/world.h"

namespace interleaf {

struct BoundedOptions {
  static constexpr unsigned kUnbounded = ~0u;

  unsigned preemptions_max = 1;
  std::uint64_t runs_max = 0;               // 0: no limit, as below
  double seconds_max = 0;                   // looked at after every run
  std::uint64_t prefixes_max = 40'000'000;  // kept in memory: 16 to 64 bytes each
  bool snapshots = true;                    // false: run every prefix again
  unsigned snapshot_steps = 16;             // steps between snapshots, at least
  bool stop_at_first = false;               // at the first finding
  bool verify_cache = false;
  RunOptions run;  // the seed is not used
  // What makes two findings the same; empty: it is none. Default: the verdict's signature.
  std::function<std::string(const RunResult&)> signature;
  // Called with every run that came to its end, several times for some orders.
  std::function<void(const RunResult&, const Hash128& order)> ended;
};

struct BoundedFinding {
  std::string signature;
  std::uint64_t preemptions = 0;
  Schedule schedule;        // of the first run that had it
  std::uint64_t count = 0;  // runs that had it
};

// What a level added to those before it.
struct BoundedLevel {
  std::uint64_t classes = 0;  // orders with this many preemptions at least
  std::uint64_t runs = 0;
  std::uint64_t pruned = 0;
  double seconds = 0;
};

struct BoundedResult {
  // Every decision within the bound was tried, and no run was cut by RunOptions::steps_max.
  bool complete = false;
  // The same whatever the number of preemptions: no seed was left over.
  bool exhausted = false;
  int complete_up_to = -1;   // level; -1: none
  std::uint64_t runs = 0;    // that came to their end
  std::uint64_t pruned = 0;  // that ended at a known prefix
  std::uint64_t classes = 0;
  std::vector<BoundedLevel> levels;
  std::vector<BoundedFinding> findings;  // one per signature, fewest preemptions first
  bool out_of_budget = false;
  const char* budget = "";        // which: "runs", "memory" or "time"
  std::string hidden_dependence;  // what verify_cache found: the search ended there
};

// `world` must not be paused; it is left in any state.
BoundedResult explore_bounded(World& world, const BoundedOptions& options);

}  // namespace interleaf
