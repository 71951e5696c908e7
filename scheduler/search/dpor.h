// SPDX-License-Identifier: GPL-2.0-only
// Every order of a program's dependent events, each run once: dynamic partial-order reduction with
// source sets and sleep sets (Abdulla, Aronis, Jonsson, Sagonas, "Source Sets: A Foundation for
// Optimal Dynamic Partial Order Reduction", J. ACM 64, 2017), on snapshots of the World instead of
// re-execution.
//
// Departures from the paper, each needed for operations that block:
// - Races are looked for when an event is performed, and again for every task that is blocked
//   whenever its object changes: a blocked task may never get to perform what it announced.
// - Where the reversal of a race might not be possible, every task that was enabled is tried.
// - An acquisition and the release before it are never enabled at once: the race is with the
//   acquisition behind.
// - All outcomes of a data choice are tried before its task goes to sleep.
//
// Holds for programs whose tasks share nothing that they do not announce.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/search/order_hash.h"
#include "scheduler/search/retry_limit.h"
#include "scheduler/search/with_world.h"
#include "scheduler/world.h"

namespace interleaf {

// Defects on purpose, for the tests that have to notice them.
enum class DporFault : std::uint8_t {
  kNone,
  kLastRaceOnly,   // only the last event that a step races with
  kPerformedOnly,  // no races of what is blocked
  kNoFallback,     // nothing is tried where a reversal might not be possible
  kJoinReleases,   // the order through a release hides the race with the acquisition
  kCutAtFinding,   // a run ends at its first finding
};

struct DporProgress {
  std::uint64_t runs = 0;  // complete and redundant ones
  double seconds = 0;
};

struct DporOptions {
  unsigned jobs = 1;            // 1 .. 64 workers
  std::uint64_t runs_max = 0;   // complete ones and redundant ones; 0: no limit, as below
  double seconds_max = 0;       // looked at after every run
  bool snapshots = true;        // false: run every prefix again
  unsigned snapshot_steps = 0;  // steps between snapshots, at least; 0: by the World's size
  RunOptions run;               // the seed is not used; no observer
  DporFault fault = DporFault::kNone;

  // These are called by workers, in their threads and at the same time if there are several.

  // What a run found, as it is to be told apart; default: the signature of every finding.
  std::function<std::vector<std::string>(const RunResult&)> signatures;
  // True for signatures that do not keep an order out of the sample. Default: none.
  std::function<bool(const std::string&)> known;

  // These are called one at a time.

  // With every complete run: once for each order; which of its runs that is depends on timing if
  // there are several workers.
  std::function<void(const RunResult&, const Hash128& order)> ended;
  std::function<void(const DporProgress&)> progress;  // about twice a second

  // Set by somebody else (a signal handler): the search ends after the runs at hand.
  const std::atomic<bool>* interrupted = nullptr;

  // How many schedules of orders without a finding (or with known ones alone) to keep: those of
  // the least hashes.
  std::size_t sample_max = 0;  // none that RunOptions::retries_max cut

  // The state of the search goes to this file, and comes from there if it exists.
  // dpor_checkpoint.h. Whatever is counted goes on from there; `ended` is not called again.
  std::string checkpoint;
  double checkpoint_seconds = 30;  // between two writes
  // What else the result depends on: names and values, kept in the checkpoint and compared.
  std::vector<std::pair<std::string, std::string>> identity;
};

struct DporFinding {
  std::string signature;
  Hash128 order;                  // of those that have it, the one with the least hash
  Schedule schedule;              // the normal form of `order` (normal_form.h), without retries_max
  std::uint64_t preemptions = 0;  // of the schedule; others may have fewer
  std::uint64_t count = 0;        // orders that have it
};

struct DporResult {
  // Every order was run, none cut by RunOptions::steps_max; those with more fruitless repetitions
  // than RunOptions::retries_max allows up to there.
  bool complete = false;
  std::uint64_t classes = 0;          // complete runs: one for each order
  std::uint64_t redundant = 0;        // runs left when all that could go on was covered already
  std::uint64_t cut = 0;              // of the complete ones: by RunOptions::steps_max
  RetryCuts retry_cuts;               // of the complete ones
  std::uint64_t events = 0;           // steps performed, those of repeated prefixes not counted
  std::uint64_t replayed = 0;         // performed again to get to a branch
  std::uint64_t fallbacks = 0;        // races that were answered by trying every task
  std::size_t snapshot_bytes = 0;     // held at most, of all workers
  std::vector<DporFinding> findings;  // in order of signature
  std::vector<Schedule> sample;       // see DporOptions::sample_max
  double seconds = 0;                 // in all processes that had a part in it
  bool out_of_budget = false;
  const char* budget = "";  // which: "runs", "time"; or "interrupted"
  // Out of budget: the part of the tree of choices that is done, weighted by what was known to be
  // tried at each choice. 0: too early to say.
  double done = 0;
};

// Slots 0 to jobs - 1 are used, slot 0 by the calling thread. Throws CheckpointError, and what
// `with_world` throws.
// Classes, findings and completeness do not depend on the number of jobs or on timing, unless the
// search was out of budget: every worker's choices are covered for those that were handed out after
// them. The numbers of redundant runs, events and fallbacks may.
DporResult explore_dpor(const WithWorld& with_world, const DporOptions& options);

// One worker. `world` must not be paused; it is left in any state.
DporResult explore_dpor(World& world, DporOptions options);

}  // namespace interleaf
