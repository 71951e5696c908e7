// SPDX-License-Identifier: GPL-2.0-only
// Round robin: at every choice the next runnable task by id after the one that ran. Data choices
// take the ordinary value. The seed rotates the first task.
#include <bit>

#include "scheduler/scheduler.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class RoundRobin final : public Strategy {
 public:
  void begin(std::uint64_t seed) override { first_ = static_cast<unsigned>(seed % kTasksMax); }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const TaskId ran = scheduler.current_id();
    const unsigned from = ran == kNoTask ? first_ : ran + 1u;
    const TaskMask after = from >= 64 ? 0 : runnable & (~TaskMask{0} << from);
    return static_cast<TaskId>(std::countr_zero(after != 0 ? after : runnable));
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned) override { return 0; }

 private:
  unsigned first_ = 0;
};

}  // namespace

std::unique_ptr<Strategy> make_round_robin() { return std::make_unique<RoundRobin>(); }

}  // namespace interleaf
