// SPDX-License-Identifier: GPL-2.0-only
// All orders of a scenario with few preemptions, the fewest first. scheduler/search/bounded.h says
// how and what it rests on; this adds what is kept of a finding, and whether the racy window was
// reached.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/configuration.h"
#include "engine/crash.h"
#include "engine/run.h"
#include "scheduler/search/bounded.h"

namespace interleaf {

struct ExploreOptions {
  unsigned preemptions_max = 1;
  double seconds_max = 0;  // 0: no limit
  bool snapshots = true;
  bool keep_going = false;
  bool verify_cache = false;
  bool crash = false;  // power cuts too, at every moment of every order
  CrashBudget crash_budget;
  std::vector<std::string> ignore;  // prefixes of signatures that do not count as findings
};

// One distinct signature, in a run that has it with as few preemptions as there are.
struct ExploreFinding {
  std::uint64_t count = 0;  // runs that had it
  TracedRun run;
  Recording recording;
};

struct ExploreReport {
  BoundedResult search;
  double seconds = 0;
  std::vector<ExploreFinding> findings;          // fewest preemptions first
  std::map<std::string, std::uint64_t> ignored;  // signatures left out, with their runs
  std::optional<CrashReport> crash;
  // Of Scenario::window, looked for in a few hundred of the runs.
  bool window_reached = true;
  std::vector<std::string> window_missed;
};

ExploreReport explore(const std::shared_ptr<const Configuration>& configuration,
                      const ExploreOptions& options);

}  // namespace interleaf
