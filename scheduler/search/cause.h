// SPDX-License-Identifier: GPL-2.0-only
// Why a run has a finding: which of its races, decided the other way, would have spared it.
//
// Pairs of dependent steps of two tasks are reversed one at a time, if the later one could have
// come first (its task did nothing before that follows from the earlier one): what came before the
// earlier step, what came between and does not follow from it, the later step, the earlier one,
// then the rest in the old order as far as possible. These are the races of the run (races.h) and,
// where reversing one does not help, earlier accesses by the same task. A pair whose reversed run
// does not have the finding is a cause of it. The causes from the last to the first are the chain
// of AITIA (Jeong et al.: "Diagnosing kernel concurrency failures with AITIA", EuroSys 2023). A
// task that is blocked when the run ends takes part with the access that it announced, so that
// hangs have causes too.
//
// Causes between the same two regions are one group. A region is what a task does under the
// outermost lock it holds; without a lock, its outermost function. Groups of the same two tasks and
// the same object are joined. Where two accesses of one call of a task enclose the other task's,
// and no uninterrupted call could have come to that (R-W-R, W-W-R, W-R-W, R-W-W), it is an
// atomicity violation (Lu et al.: "Learning from mistakes", ASPLOS 2008), else a violation of the
// order of two accesses.
//
// A cause is a fact about one run and one reversal: the run has the finding, the reversed run has
// not. It does not say that nothing else would spare it, nor that other schedules are spared by
// the same order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "scheduler/world.h"

namespace interleaf {

// An access of a step, as a run recorded it. `object` is its number in that run.
struct AccessSite {
  TaskId task = kNoTask;
  std::string task_name;
  std::uint64_t step = 0;  // 1, 2, ...; past the run's last: announced, never performed
  Op op = Op::kBegin;
  std::string function;   // the innermost; "-": none
  std::string outermost;  // the same if there is one alone
  std::string file;
  unsigned line = 0;
  std::uint32_t object = 0;
  // What is known of the object: the class of a lock, else the type of its block and the offset in
  // it; empty if there is neither.
  std::string role;
  // read_values(): what it is called, "i_writecount of inode f", and what it held. Empty: not
  // known.
  std::string object_text;
  std::string before;
  std::string after;
  std::uint64_t kind = 0;          // ObjectKinds::of
  std::vector<std::string> locks;  // classes of the locks held, outermost first
  std::uint64_t region = 0;        // equal for steps of one region of the task
  std::uint64_t call = 0;          // equal for steps of one outermost function of the task
};

struct Flip {
  enum class Outcome : std::uint8_t {
    kInfeasible,  // the later step could not come first
    kSame,        // the finding is there as well
    kRemoved,     // it is not: a cause
  };
  AccessSite earlier;
  AccessSite later;
  Outcome outcome = Outcome::kInfeasible;
  std::string instead;  // of kRemoved: the signature of the reversed run's verdict; empty: clean
};

// Causes that belong together, and the accesses that say what went wrong.
struct CauseGroup {
  std::vector<std::size_t> flips;  // of CauseResult::flips, last in the run first
  bool atomicity = false;
  // Of an atomicity violation, all three; of an order violation `first` came before `foreign`, and
  // that is what must not be; `last` is `first`.
  AccessSite first;
  AccessSite foreign;
  AccessSite last;
  // Of an atomicity violation: what the three did to the one object, "R-W-W" and so on.
  std::string kinds;
};

struct CauseResult {
  RunResult run;
  std::vector<Flip> flips;         // in the order of the run, by the later step
  std::vector<CauseGroup> groups;  // the chain: last cause first
  std::uint64_t causes = 0;
  std::uint64_t infeasible = 0;
  bool out_of_budget = false;  // there were more races than `flips_max`: the first were left out
};

struct CauseOptions {
  RunOptions run;  // no observer
  std::uint64_t flips_max = 20'000;
};

// `same` says whether a run has the finding in question. Requires: the run of `schedule` has it.
CauseResult find_causes(World& world, const Schedule& schedule, const CauseOptions& options,
                        const std::function<bool(const RunResult&)>& same);

}  // namespace interleaf
