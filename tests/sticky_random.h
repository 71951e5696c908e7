// SPDX-License-Identifier: GPL-2.0-only
// A random strategy that seldom switches (once in 16 points), so that tasks get further ahead of
// one another than in a fair random walk: many requests in flight, a whole write during one I/O.
#pragma once

#include <bit>

#include "scheduler/prng.h"
#include "scheduler/scheduler.h"
#include "scheduler/strategy.h"

namespace interleaf {

class StickyRandom final : public Strategy {
 public:
  void begin(std::uint64_t seed) override { prng_ = Prng(seed); }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const TaskId current = scheduler.current_id();
    const bool may_stay = current != kNoTask && (runnable & task_bit(current)) != 0;
    if (may_stay && prng_.below(16) != 0) return current;
    for (std::uint32_t skip = prng_.below(static_cast<std::uint32_t>(std::popcount(runnable)));
         skip > 0; --skip) {
      runnable &= runnable - 1;
    }
    return static_cast<TaskId>(std::countr_zero(runnable));
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  Prng prng_{0};
};

}  // namespace interleaf
