// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/estimate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "scheduler/prng.h"
#include "scheduler/scheduler.h"
#include "scheduler/task_mask.h"

namespace interleaf {
namespace {

class Probe final : public Strategy {
 public:
  explicit Probe(unsigned preemptions) : preemptions_max_(preemptions) {}

  double log10() const { return log10_; }

  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    log10_ = 0;
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const TaskId ran = s.current_id();
    const bool goes_on = ran != kNoTask && (runnable & task_bit(ran)) != 0;
    if (goes_on && s.preemptions() >= preemptions_max_) return ran;
    return nth_task(runnable, draw(count_tasks(runnable)));
  }
  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return draw(count);
  }

 private:
  std::uint32_t draw(std::uint32_t count) {
    log10_ += std::log10(count);
    return prng_.below(count);
  }

  std::uint64_t preemptions_max_;
  Prng prng_{0};
  double log10_ = 0;
};

}  // namespace

ScheduleEstimate estimate_schedules(World& world, RunOptions options, unsigned preemptions,
                                    unsigned walks) {
  ScheduleEstimate estimate;
  estimate.walks = walks;
  Probe probe(preemptions);
  std::vector<double> logs;
  for (unsigned i = 0; i < walks; ++i) {
    const RunResult& run = world.run(probe, options);
    estimate.cut += run.end == RunEnd::kLivelock && run.steps >= options.steps_max;
    logs.push_back(probe.log10());
    ++options.seed;
  }
  // The mean, relative to the heaviest: the products themselves may exceed any type.
  const double heaviest = *std::max_element(logs.begin(), logs.end());
  double sum = 0;
  for (const double log : logs) sum += std::pow(10, log - heaviest);
  estimate.log10 = heaviest + std::log10(sum / walks);
  return estimate;
}

}  // namespace interleaf
