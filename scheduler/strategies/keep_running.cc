// SPDX-License-Identifier: GPL-2.0-only
// Keep running: no preemption at all. Data choices take the ordinary value.
#include "scheduler/strategies/keep_running.h"

#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class KeepRunning final : public Strategy {
 public:
  void begin(std::uint64_t) override {}
  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    return keep_running(scheduler, runnable);
  }
  unsigned pick_value(const Scheduler&, const char*, unsigned) override { return 0; }
};

}  // namespace

std::unique_ptr<Strategy> make_keep_running() { return std::make_unique<KeepRunning>(); }

}  // namespace interleaf
