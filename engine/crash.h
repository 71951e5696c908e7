// SPDX-License-Identifier: GPL-2.0-only
// Power cuts of a scenario: every state that the disk can be left in at any moment of any run that
// has the same order as a given one, judged by CrashOracle. What is found is told as a run that
// goes straight to the cut.
//
// The run that is looked at is always the same one of an order: the first by task ids. So nothing
// that is counted or found depends on which run of the order was given.
//
// Has a World of its own. Not thread-safe; several may be used at the same time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/crash_log.h"
#include "engine/crash_oracle.h"
#include "engine/run.h"

namespace interleaf {

struct CrashFinding {
  std::string signature;
  TracedRun run;  // its findings: this one alone
  PowerCut cut;
};

struct CrashReport {
  std::uint64_t orders = 0;  // judged
  // Not judged: they lose data without a power cut, or were cut in a loop.
  std::uint64_t skipped = 0;
  std::uint64_t sets = 0;    // moments of a cut that differ
  std::uint64_t cuts = 0;    // with what the log and the cache make of them
  std::set<Hash128> states;  // distinct pairs of (what recovery finds, promises made)
  bool complete = true;      // no budget of sets was spent
  // Not empty if an order could not be run in the way that was asked for: state is shared
  // unannounced.
  std::string hidden_dependence;

  // Adds what was seen of other orders. Commutes.
  void merge(const CrashReport& other);
};

class CrashSearch {
 public:
  // `slot`: no other World's.
  CrashSearch(unsigned slot, std::shared_ptr<const Configuration> configuration,
              const CrashBudget& budget);

  // Judges the order that the schedule's run has. What is broken: signatures, the plainest first.
  // To be called once per order, for the report's sake.
  std::vector<std::string> judge(const Schedule& schedule);
  // An order that was cut in a loop: nothing can be said of it.
  void skip() { ++report_.skipped; }
  // The finding of that signature among what judge() found; empty if there is a hidden dependence.
  std::optional<CrashFinding> show(const Schedule& schedule, const std::string& signature);
  // A run with the finding that this cut makes, if it makes one, and with no other. `by_landmark`:
  // where the cut's landmarks say, not after its steps. False if no moment of the run has them.
  bool replay(Strategy& strategy, PowerCut cut, bool by_landmark, TracedRun& run);

  const CrashReport& report() const { return report_; }

 private:
  enum class Logged : std::uint8_t { kYes, kLosesData, kHiddenDependence };
  // A promise that a cut breaks, and what a run must do before the cut.
  struct Broken {
    EventSet set;
    PowerCut cut;
    BrokenPromise promise;
    std::size_t cost;  // the least there is: events before the cut, then what the cache did
  };
  using BrokenBySignature = std::map<std::string, Broken>;
  // Writes the first run of the schedule's order to the log.
  Logged log_first_run(const Schedule& schedule);
  bool run_in_order(const std::vector<TaskId>& order, StepNumber steps);
  BrokenBySignature search(const CrashOracle& oracle, CrashReport& report) const;
  // The tasks of the run's steps with those first that must come before the cut; sets cut.steps.
  std::vector<TaskId> in_order(const CrashOracle& oracle, Broken& broken) const;

  CrashBudget budget_;
  CrashLog log_;
  ScenarioWorld world_;
  CrashReport report_;
};

// Lets tasks go on in a given order, one entry per step, then keeps the running one. Data choices
// come out as `values` has them by task, in its order.
std::unique_ptr<Strategy> make_in_order(std::vector<TaskId> order,
                                        std::vector<std::vector<std::uint8_t>> values);

// "cut@writer:fsync#1", and what was on disk then.
std::string cut_text(const CrashLog& log, const PowerCut& cut);

}  // namespace interleaf
