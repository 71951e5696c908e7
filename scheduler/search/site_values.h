// SPDX-License-Identifier: GPL-2.0-only
// What the objects of a few accesses of a run are called, and what they held before the access and
// after it (object_names.h): the run once more, observed.
#pragma once

#include <vector>

#include "scheduler/search/cause.h"

namespace interleaf {

// Fills object_text, before and after of the sites. Requires: they are of the run of `schedule`.
// "Before" is when the step begins, "after" when it ends: a step may do more than it announced. Of
// an access that never came, both are what there was at the end of the run.
void read_values(World& world, const Schedule& schedule, RunOptions options,
                 std::vector<AccessSite*> sites);

}  // namespace interleaf
