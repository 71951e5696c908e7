// SPDX-License-Identifier: GPL-2.0-only
// All orders of a scenario with few preemptions, the fewest first. scheduler/search/bounded.h says
// how and what it rests on; this adds what is kept of a finding, and whether the racy window was
// reached.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/configuration.h"
#include "engine/crash.h"
#include "engine/run.h"
#include "scheduler/search/bounded.h"
#include "scheduler/search/estimate.h"

namespace interleaf {

struct ExploreOptions {
  unsigned preemptions_max = 1;
  // All orders, however many preemptions: scheduler/search/dpor.h. Goes on after findings; keeps
  // nothing that memory_max or verify_cache could apply to.
  bool unbounded = false;
  // How often a task may repeat a loop in vain (RunOptions::retries_max); 0: no limit.
  static constexpr std::uint32_t kRetriesDefault = 3;
  std::uint32_t retries_max = kRetriesDefault;
  unsigned jobs = 1;  // 1 .. 64
  // Budgets; 0: no limit.
  double seconds_max = 0;
  std::uint64_t runs_max = 0;
  std::uint64_t memory_max = BoundedOptions::kMemoryDefault;  // bytes
  bool snapshots = true;
  bool keep_going = false;
  // All findings of a run count, each for itself, and not its gravest alone. Of an ExploreFinding
  // the run's verdict may then be another, graver one. Not with `unbounded` or `resume`.
  bool every_finding = false;
  bool verify_cache = false;
  bool crash = false;  // power cuts too, at every moment of every order; not with `resume`
  CrashBudget crash_budget;
  std::vector<std::string> ignore;  // prefixes of signatures that do not count as findings
  std::string resume;               // file with the state of the search; empty: none
  double resume_seconds = 30;       // between two writes of it
  const std::atomic<bool>* interrupted = nullptr;        // ends the search once it is true
  std::function<void(const BoundedProgress&)> progress;  // about twice a second; may be empty
};

// One distinct signature, in a run that has it with as few preemptions as there are; what a power
// cut breaks, in a run of such an order that goes straight to the cut.
struct ExploreFinding {
  std::uint64_t count = 0;  // orders that had it
  TracedRun run;
  Recording recording;
};

struct ExploreReport {
  BoundedResult search;                  // if unbounded: one level, `pruned` are the redundant runs
  double done = 0;                       // unbounded and out of budget: DporResult::done
  double seconds = 0;                    // in this process
  std::vector<ExploreFinding> findings;  // fewest preemptions first
  std::optional<CrashReport> crash;
  // Of Scenario::window, looked for in a few hundred of the orders.
  bool window_reached = true;
  std::vector<std::string> window_missed;
  // Patches whose condition any of the runs asked for, there or not: another kernel that agrees in
  // these and in all else would have had the same search.
  kernel::patch_set patches_asked = 0;
};

// Errors: UserError if the resume file cannot be used.
ExploreReport explore(const std::shared_ptr<const Configuration>& configuration,
                      const ExploreOptions& options);

// How many schedules there are, by random walks: any, and with at most preemptions_max.
struct ExploreEstimate {
  ScheduleEstimate any, bounded;
};
ExploreEstimate estimate(const std::shared_ptr<const Configuration>& configuration,
                         unsigned preemptions_max);

}  // namespace interleaf
