// SPDX-License-Identifier: GPL-2.0-only
// Random walk: uniform over the runnable tasks at every choice, uniform over the values of a data
// choice. The baseline; a choice costs one draw.
#include "scheduler/prng.h"
#include "scheduler/strategy.h"
#include "scheduler/task_mask.h"

namespace interleaf {
namespace {

class Random final : public Strategy {
 public:
  void begin(std::uint64_t seed) override { prng_ = Prng(seed); }

  TaskId pick(const Scheduler&, TaskMask runnable) override {
    return nth_task(runnable, prng_.below(count_tasks(runnable)));
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  Prng prng_{0};
};

}  // namespace

std::unique_ptr<Strategy> make_random() { return std::make_unique<Random>(); }

}  // namespace interleaf
