// SPDX-License-Identifier: GPL-2.0-only
// Power cuts of a scenario: every state that the disk can be left in at any moment of any run that
// has the same order as a given one, judged by CrashOracle. What is found is told as a run that
// goes straight to the cut.
//
// Has a World of its own. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/crash_log.h"
#include "engine/crash_oracle.h"
#include "engine/run.h"

namespace interleaf {

struct CrashFinding {
  std::string signature;
  std::uint64_t count = 0;  // orders that had it
  TracedRun run;            // its findings: this one alone
  PowerCut cut;
};

struct CrashReport {
  std::uint64_t orders = 0;   // judged
  std::uint64_t skipped = 0;  // not judged: they lose data without a power cut
  std::uint64_t sets = 0;     // moments of a cut that differ
  std::uint64_t cuts = 0;     // with what the log and the cache make of them
  std::uint64_t states = 0;   // distinct pairs of (what recovery finds, promises made)
  bool complete = true;       // no budget of sets was spent
  // Not empty if an order could not be run in the way a finding asked for: state is shared
  // unannounced.
  std::string hidden_dependence;
  std::vector<CrashFinding> findings;  // in order of discovery
};

class CrashSearch {
 public:
  // `slot`: no other World's.
  CrashSearch(unsigned slot, std::shared_ptr<const Configuration> configuration,
              const CrashBudget& budget);

  // Judges the order that the schedule's run has. The signature of the plainest finding, or "".
  std::string judge(const Schedule& schedule);
  // A run with the finding that this cut makes, if it makes one, and with no other. `by_landmark`:
  // where the cut's landmarks say, not after its steps. False if no moment of the run has them.
  bool replay(Strategy& strategy, PowerCut cut, bool by_landmark, TracedRun& run);

  const CrashReport& report() const { return report_; }

 private:
  // A promise that a cut breaks, and what a run must do before the cut.
  struct Broken {
    EventSet set;
    PowerCut cut;
    BrokenPromise promise;
    std::size_t cost;  // the least there is: events before the cut, then what the cache did
  };
  using BrokenBySignature = std::map<std::string, Broken>;
  BrokenBySignature search(const CrashOracle& oracle);
  // The tasks of the run's events with those first that must come before the cut; sets cut.steps.
  std::vector<TaskId> in_order(const CrashOracle& oracle, Broken& broken) const;
  void show(const std::string& signature, const Broken& broken, const std::vector<TaskId>& order,
            const std::vector<std::vector<std::uint8_t>>& values);

  CrashBudget budget_;
  CrashLog log_;
  ScenarioWorld world_;
  std::set<Hash128> states_;
  CrashReport report_;
};

// Lets tasks go on in a given order, one entry per step, then keeps the running one. Data choices
// come out as `values` has them by task, in its order.
std::unique_ptr<Strategy> make_in_order(std::vector<TaskId> order,
                                        std::vector<std::vector<std::uint8_t>> values);

// "cut@writer:fsync#1", and what was on disk then.
std::string cut_text(const CrashLog& log, const PowerCut& cut);

}  // namespace interleaf
