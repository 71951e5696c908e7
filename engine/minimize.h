// SPDX-License-Identifier: GPL-2.0-only
// A recording made small: a smaller workload (shrink.h), the fewest preemptions that the bounded
// search can show (scheduler/search/minimum.h), the scenario's text cut to what is left. What comes
// out depends on the workload and the signature, not on the seed that found it, where the search
// came to its own finding (`canonical`) and the workload shrank alike.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/configuration.h"
#include "engine/run.h"
#include "engine/workload.h"
#include "scheduler/search/minimum.h"
#include "scheduler/search/retry_limit.h"

namespace interleaf {

struct MinimizeOptions {
  bool keep_workload = false;
  std::uint64_t search_runs = 20'000;  // of the proof; 0: none
  double search_seconds = 0;           // 0: no limit
  std::uint32_t search_retries = 0;    // MinimumOptions::search_retries
};

// What is counted before and after.
struct RecordingCounts {
  WorkloadCounts workload;
  std::uint64_t data_choices = 0;  // other than the ordinary outcome
  std::uint64_t preemptions = 0;
  std::uint64_t switches = 0;
  std::uint64_t steps = 0;
};

struct MinimizeReport {
  std::shared_ptr<const Configuration> configuration;
  RecordingCounts before;
  RecordingCounts after;
  TracedRun run;
  Recording recording;  // with Recording::minimality
  bool canonical = false;
  RetryCuts retry_cuts;          // orders of the proof's search
  std::uint64_t candidates = 0;  // workloads tried
  std::uint64_t runs = 0;
};

// Errors: UserError for a recording without a finding; CannotJudge for one that does not replay
// exactly, twice alike.
MinimizeReport minimize_recording(const Recording& recording, const MinimizeOptions& options);

// Runs the recording twice: the finding must be there, and the same. `purpose` is for the error if
// it is clean: "minimise". Errors: as above.
TracedRun checked_run(const Recording& recording, const std::string& purpose);

}  // namespace interleaf
