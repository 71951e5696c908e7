// SPDX-License-Identifier: GPL-2.0-only
// Memory barriers as named points. Execution is sequentially consistent, so they order nothing
// here; they stand where the program has them, for traces and the data-race detector.
#pragma once

#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

inline void fence(Order order, std::source_location where) {
  if (Scheduler* s = Scheduler::current()) {
    ObjectNumber own{kPrivateObject};  // a barrier touches no object
    s->point(Op::kFence, own, nullptr, true, where, order);
  }
}
inline void smp_mb(std::source_location where = std::source_location::current()) {
  fence(Order::kFull, where);
}
inline void smp_rmb(std::source_location where = std::source_location::current()) {
  fence(Order::kAcquire, where);
}
inline void smp_wmb(std::source_location where = std::source_location::current()) {
  fence(Order::kRelease, where);
}

}  // namespace interleaf
