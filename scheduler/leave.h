// SPDX-License-Identifier: GPL-2.0-only
// Lets a strategy leave a run where it has no answer to give.
#pragma once

namespace interleaf {

// Called from Strategy::forced(): the run stops there (RunEnd::kPaused), as if pick() had returned
// kPause. It cannot be resumed, only left: the next is World::run or World::restore. Not before the
// first step of a run.
void leave_run();

}  // namespace interleaf
