// SPDX-License-Identifier: GPL-2.0-only
// The part of a run that its finding comes from, for tables: a backward slice over happens-before
// (scheduler/search/happens_before.h). Its unit is a call of a task: from the call that the finding
// is in, back over every access of another task that one in the call directly depends on, to the
// call that made it, and so on. The calls that set a variable which such a call names belong to it.
// Of a hang, every call that has not ended is where it begins.
//
// Left out as well, since their order was forced and no choice: what an I/O task or another daemon
// does while a task waits for it and nobody else comes between, waits for the end of a task, and
// the ends of tasks.
#pragma once

#include "engine/run.h"

namespace interleaf {

// The trace without what is not in the slice; whole if the run is clean.
Trace slice_of(const TracedRun& run);

}  // namespace interleaf
