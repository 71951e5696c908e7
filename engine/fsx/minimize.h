// SPDX-License-Identifier: GPL-2.0-only
// Takes operations out of a failing sequence of fsx as long as it fails: delta debugging, ddmin
// (Zeller and Hildebrandt, IEEE TSE 2002), to where no single operation can go.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/fsx/ops.h"

namespace interleaf {

struct FsxMinimum {
  std::vector<FsxOp> ops;
  std::uint64_t tried = 0;
  bool complete = true;  // false: `tries_max` was spent
};

// Requires: fails(ops). Operations that are skipped go first.
FsxMinimum minimize_fsx(std::vector<FsxOp> ops,
                        const std::function<bool(const std::vector<FsxOp>&)>& fails,
                        std::uint64_t tries_max);

}  // namespace interleaf
