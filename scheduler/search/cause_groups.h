// SPDX-License-Identifier: GPL-2.0-only
// Which causes belong together, and what kind of mistake a group of them is. Pure functions.
#pragma once

#include <vector>

#include "scheduler/search/cause.h"

namespace interleaf {

// Of the flips that removed the finding; the group with the last of them first. `sites` are those
// of all steps of the run.
std::vector<CauseGroup> group_causes(const std::vector<Flip>& flips,
                                     const std::vector<AccessSite>& sites);

}  // namespace interleaf
