// SPDX-License-Identifier: GPL-2.0-only
// Listed: the keep-running policy with a list of deviations. What minimisation works on: taking an
// deviation away falls back to the policy and leaves the meaning of the others alone.
#include <algorithm>
#include <utility>

#include "scheduler/strategies/keep_running.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Listed final : public Strategy {
 public:
  explicit Listed(std::vector<Deviation> deviations) : deviations_(std::move(deviations)) {}

  void begin(std::uint64_t) override {}

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const Deviation* deviation = find(scheduler, false);
    if (deviation != nullptr && (runnable & task_bit(deviation->value)) != 0) {
      return deviation->value;
    }
    return keep_running(scheduler, runnable);
  }

  unsigned pick_value(const Scheduler& scheduler, const char*, unsigned count) override {
    const Deviation* deviation = find(scheduler, true);
    return deviation != nullptr && deviation->value < count ? deviation->value : 0;
  }

 private:
  const Deviation* find(const Scheduler& scheduler, bool data) const {
    const TaskId ran = scheduler.current_id();
    const std::uint32_t own_steps = ran == kNoTask ? 0 : scheduler.task(ran).own_steps;
    const auto found =
        std::find_if(deviations_.begin(), deviations_.end(), [&](const Deviation& deviation) {
          return deviation.task == ran && deviation.own_steps == own_steps &&
                 deviation.data == data;
        });
    return found == deviations_.end() ? nullptr : &*found;
  }

  std::vector<Deviation> deviations_;
};

}  // namespace

std::unique_ptr<Strategy> make_listed(std::vector<Deviation> deviations) {
  return std::make_unique<Listed>(std::move(deviations));
}

}  // namespace interleaf
