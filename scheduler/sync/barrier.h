// SPDX-License-Identifier: GPL-2.0-only
// Memory barriers as named points. Execution is sequentially consistent, so they order nothing
// here; they stand where the program has them, for traces and for a later weak-memory mode.
#pragma once

#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

inline void fence(std::source_location where) {
  if (Scheduler* s = Scheduler::current()) {
    ObjectNumber own{kPrivateObject};  // a barrier touches no object
    s->point(Op::kFence, own, nullptr, true, where);
  }
}
inline void smp_mb(std::source_location where = std::source_location::current()) { fence(where); }
inline void smp_rmb(std::source_location where = std::source_location::current()) { fence(where); }
inline void smp_wmb(std::source_location where = std::source_location::current()) { fence(where); }

}  // namespace interleaf
