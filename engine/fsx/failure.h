// SPDX-License-Identifier: GPL-2.0-only
// The shortest sequence that shows what a run of fsx has found.
#pragma once

#include "engine/fsx/minimize.h"
#include "engine/fsx/run.h"

namespace interleaf {

// Of the file that failed; others keep their sequences, cut to the failing run. A sequence counts
// as failing if a run of it has the same verdict; with options.random one of `kSeedsTried` runs.
// Empty: the failure did not show again.
inline constexpr std::uint64_t kSeedsTried = 20;
FsxMinimum minimize_failure(const std::shared_ptr<const Configuration>& configuration,
                            std::vector<std::vector<FsxOp>> sequences, const FsxRunOptions& options,
                            const FsxResult& failure, std::uint64_t tries_max);

// The verdict's name of a result, "clean" without findings; and the finding itself, or null.
std::string fsx_verdict(const FsxResult& result);
const Finding* fsx_finding(const FsxResult& result);

}  // namespace interleaf
