// SPDX-License-Identifier: GPL-2.0-only
// Runs a recording again. Exactly, if the engine is the one that made it: the same choices must
// give the same digests. If they do not, the engine has changed, and the landmarks of the switches
// are followed instead: "when this task is about to do its n-th such access in this function, go
// on with that one".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/recording.h"
#include "engine/run.h"

namespace interleaf {

struct ReplayResult {
  std::shared_ptr<const Configuration> configuration;
  TracedRun run;
  bool exact = false;         // every digest agrees
  bool same_verdict = false;  // verdict and signature agree
  // Not exact: the first step known to differ, with both sides, and the landmarks not met.
  std::string divergence;
  std::vector<std::string> missed;
};

// Errors: CannotJudge (unknown detector).
Detectors detectors_of(const Recording& recording);
// The scenario and kernel of a recording. Errors: UserError (wrong scenario); CannotJudge (unknown
// patch, kernel, persona, detector).
std::shared_ptr<const Configuration> configuration_of(const Recording& recording);
// With other detectors than it was recorded with.
std::shared_ptr<const Configuration> configuration_of(const Recording& recording,
                                                      const Detectors& detectors);

// One run by the landmarks of a recording's switches; `missed`, if not null, gets those not met.
// The world may have another scenario than the recording.
TracedRun run_by_landmarks(ScenarioWorld& world, const Recording& recording,
                           std::vector<std::string>* missed = nullptr, bool named = false);

// `loose`: by landmarks from the start. `named`: see Trace.
ReplayResult replay(const Recording& recording, bool loose = false);
ReplayResult replay(const Recording& recording, bool loose, const Detectors& detectors,
                    bool named = false);

}  // namespace interleaf
