// SPDX-License-Identifier: GPL-2.0-only
// Many schedules by seed, on several threads, each with a World of its own. What is reported does
// not depend on the number of threads or on timing: runs are counted in order of seeds, and without
// keep_going the finding of the lowest seed ends the search; what higher seeds came to is dropped.
// A search that ends by the clock has made all runs up to some seed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/configuration.h"
#include "engine/fuzz_statistics.h"
#include "engine/run.h"
#include "scheduler/search/retry_limit.h"

namespace interleaf {

struct FuzzOptions {
  std::string strategy = "portfolio";
  std::uint64_t seed_first = 0;
  std::uint64_t seed_last = 9999;  // inclusive
  unsigned jobs = 1;
  double seconds_max = 0;  // 0: no limit
  // RunOptions::retries_max; what is kept of a finding has no such limit.
  std::uint32_t retries_max = 0;
  bool keep_going = false;
  bool twice = false;               // run every schedule a second time and compare
  bool minimize = true;             // shrink the schedules of what is kept
  bool statistics = true;           // watch the first 16384 runs, then one in eight
  std::vector<std::string> ignore;  // prefixes of signatures that do not count as findings
};

// The state of a search while it goes on, for progress lines.
struct FuzzProgress {
  std::uint64_t runs = 0;
  std::uint64_t runs_wanted = 0;
  std::uint64_t findings = 0;
  std::uint64_t signatures = 0;
  double seconds = 0;
};

// The runs of one strategy with a given signature.
struct FuzzHits {
  std::uint64_t seed = 0;   // the lowest
  std::uint64_t count = 0;  // all
};

// One distinct signature.
struct FuzzFinding {
  std::uint64_t seed = 0;   // the lowest that has it
  std::uint64_t count = 0;  // seeds that have it
  std::string strategy;     // that found it first
  std::map<std::string, FuzzHits> by_strategy;
  std::uint64_t preemptions_found = 0;  // in the schedule as found
  TracedRun run;                        // minimised if asked for
  Recording recording;
};

struct FuzzReport {
  std::uint64_t runs = 0;  // seed_first .. seed_first + runs - 1
  double seconds = 0;
  std::vector<FuzzFinding> findings;             // by seed
  std::map<std::string, std::uint64_t> ignored;  // signatures left out, with their counts
  FuzzStatistics statistics;                     // of all runs
  RetryCuts retry_cuts;                          // of all runs, not of orders
  unsigned tasks = 0;                            // daemons and the check at the end included
  // A finding ended the search: the number of runs says something about what they found.
  bool stopped = false;
  // Of Scenario::window: the first seed of a run that reached all; none: they were not.
  bool window_reached = true;
  std::uint64_t window_seed = 0;
  std::vector<std::string> window_missed;
  std::string nondeterminism;  // what --twice found; empty: nothing
  bool out_of_time = false;
  bool exhausted = false;  // there is no other schedule (LearningStrategy::exhausted)
};

// The seeds, as an argument of --seeds, that bring back the run of `seed`: that one alone, or for a
// strategy that learns all from where its campaign began.
std::string seeds_of_run(const FuzzOptions& options, std::uint64_t seed);

// `progress` is called about twice a second from the calling thread; may be empty.
FuzzReport fuzz(const std::shared_ptr<const Configuration>& configuration,
                const FuzzOptions& options,
                const std::function<void(const FuzzProgress&)>& progress);

}  // namespace interleaf
