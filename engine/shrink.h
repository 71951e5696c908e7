// SPDX-License-Identifier: GPL-2.0-only
// A smaller workload for the same finding: tasks, daemons and injected failures go first, then
// calls (delta debugging), then lengths, offsets and rounds of loops become small. The finding is
// looked for again in every candidate: by the landmarks of the schedule so far, and if that fails
// by so many seeds of the strategy pos. What is kept has the signature and no more preemptions;
// that it could not be smaller still is not shown: a candidate may have been given up too early.
//
// What a scenario expects of a call (verdict unexpected-return) fails in every schedule once the
// call that made it true is gone: no race is left then. So of those a candidate is kept only if the
// expectation holds in some schedule too: keep-running, or as many seeds of pos. If that is so for
// no schedule of the recording itself, its workload stays as it is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/configuration.h"
#include "engine/recording.h"

namespace interleaf {

struct ShrinkOptions {
  std::uint64_t seeds = 200;
  std::uint64_t candidates_max = 400;
};

struct ShrinkResult {
  std::shared_ptr<const Configuration> configuration;  // the recording's own if nothing could go
  Recording recording;                                 // a run of it with the finding
  std::uint64_t candidates = 0;
  std::uint64_t runs = 0;
};

// Requires: the recording replays exactly and has a finding.
ShrinkResult shrink_workload(const Recording& recording, const ShrinkOptions& options);

}  // namespace interleaf
