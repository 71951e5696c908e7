// SPDX-License-Identifier: GPL-2.0-only
// Which write every read of a run sees, in abstract events.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "scheduler/prng.h"
#include "scheduler/scheduler.h"
#include "scheduler/search/object_kinds.h"
#include "scheduler/strategies/learning.h"

namespace interleaf {

// Whether what an operation does depends on earlier operations on the object, and whether later
// ones can tell that it was done. Locks do both.
constexpr bool op_observes(Op op) {
  return op != Op::kWrite && op != Op::kRelease && op != Op::kReleaseShared && op != Op::kWake;
}
constexpr bool op_affects(Op op) { return !op_only_reads(op); }

// Abstract events of one World, run after run. May be called inside a run.
class AbstractEvents {
 public:
  void begin_run() { ++run_; }

  // Requires: access.object != kPrivateObject; `task` announced or performs it.
  AbstractEvent of(const Scheduler& scheduler, const Task& task, const Access& access) {
    std::uint64_t state = kind_of(scheduler, access);
    const Function* function = task.function();
    state ^= static_cast<std::uint64_t>(access.op) << 56 |
             std::uint64_t{access.where.line()} << 32 | (function == nullptr ? 0 : function->hash);
    return split_mix(state);
  }

 private:
  struct Kind {
    std::uint64_t run = 0;
    std::uint64_t kind = 0;
  };
  std::uint64_t kind_of(const Scheduler& scheduler, const Access& access) {
    const HeapScope heap;
    kinds_.learn(scheduler.arena());
    if (access.object >= by_number_.size()) {
      by_number_.resize(std::max(2 * by_number_.size(), access.object + std::size_t{64}));
    }
    Kind& known = by_number_[access.object];
    if (known.run != run_) known = {run_, kinds_.of(scheduler.arena(), access.address)};
    return known.kind;
  }

  ObjectKinds kinds_;
  std::vector<Kind> by_number_;
  std::uint64_t run_ = 1;
};

}  // namespace interleaf
