// SPDX-License-Identifier: GPL-2.0-only
// Keep running: no preemption at all. Data choices take the ordinary value.
#include "scheduler/strategies/keep_running.h"

#include <limits>

#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class KeepRunning final : public Strategy {
 public:
  void begin(std::uint64_t) override { stay_ = Stay(); }
  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    stay_ = {runnable, std::numeric_limits<std::uint32_t>::max()};
    return keep_running(scheduler, runnable);
  }
  Stay* stay() override { return &stay_; }
  unsigned pick_value(const Scheduler&, const char*, unsigned) override { return 0; }

 private:
  Stay stay_;
};

}  // namespace

std::unique_ptr<Strategy> make_keep_running() { return std::make_unique<KeepRunning>(); }

}  // namespace interleaf
