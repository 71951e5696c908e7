// SPDX-License-Identifier: GPL-2.0-only
// POS: Yuan, Yang, Gu: "Partial order aware concurrency sampling", CAV 2018. Every announced access
// has a random priority, the highest goes on; accesses that are dependent on the one performed draw
// anew. The fresh draw for all that raced is what makes it less biased than a random walk.
//
// Deviations: priorities are 64-bit integers. Steps that one task alone can make also let blocked
// tasks that raced with them draw anew.
#include <array>

#include "scheduler/dependence.h"
#include "scheduler/scheduler.h"
#include "scheduler/strategies/sampling.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Pos final : public Strategy {
 public:
  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    drawn_ = 0;
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    for_each_task(runnable & ~drawn_, [&](TaskId task) { priority_[task] = prng_.next(); });
    drawn_ |= runnable;
    TaskId best = static_cast<TaskId>(std::countr_zero(runnable));
    for_each_task(runnable, [&](TaskId task) {
      if (priority_[task] > priority_[best]) best = task;
    });
    goes_on(scheduler, best);
    return best;
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override { goes_on(scheduler, only); }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  void goes_on(const Scheduler& scheduler, TaskId task) {
    const Access& access = scheduler.task(task).next;
    drawn_ &= ~task_bit(task);
    for_each_task(drawn_, [&](TaskId other) {
      if (dependent(access, scheduler.task(other).next)) drawn_ &= ~task_bit(other);
    });
  }

  Prng prng_{0};
  TaskMask drawn_ = 0;  // tasks whose announced access has a priority
  std::array<std::uint64_t, kTasksMax> priority_ = {};
};

}  // namespace

std::unique_ptr<Strategy> make_pos() { return std::make_unique<Pos>(); }

}  // namespace interleaf
