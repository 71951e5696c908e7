// SPDX-License-Identifier: GPL-2.0-only
// Listed: the keep-running policy with a list of exceptions. What minimisation works on: taking an
// exception away falls back to the policy and leaves the meaning of the others alone.
#include <algorithm>
#include <utility>

#include "scheduler/strategies/keep_running.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Listed final : public Strategy {
 public:
  explicit Listed(std::vector<Exception> exceptions) : exceptions_(std::move(exceptions)) {}

  void begin(std::uint64_t) override {}

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const Exception* exception = find(scheduler, false);
    if (exception != nullptr && (runnable & task_bit(exception->value)) != 0) {
      return exception->value;
    }
    return keep_running(scheduler, runnable);
  }

  unsigned pick_value(const Scheduler& scheduler, const char*, unsigned count) override {
    const Exception* exception = find(scheduler, true);
    return exception != nullptr && exception->value < count ? exception->value : 0;
  }

 private:
  const Exception* find(const Scheduler& scheduler, bool data) const {
    const TaskId ran = scheduler.current_id();
    const std::uint32_t own_steps = ran == kNoTask ? 0 : scheduler.task(ran).own_steps;
    const auto found =
        std::find_if(exceptions_.begin(), exceptions_.end(), [&](const Exception& exception) {
          return exception.task == ran && exception.own_steps == own_steps &&
                 exception.data == data;
        });
    return found == exceptions_.end() ? nullptr : &*found;
  }

  std::vector<Exception> exceptions_;
};

}  // namespace

std::unique_ptr<Strategy> make_listed(std::vector<Exception> exceptions) {
  return std::make_unique<Listed>(std::move(exceptions));
}

}  // namespace interleaf
