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
  explicit Probe(std::uint64_t preemptions) : preemptions_max_(preemptions) {}

  double log10() const { return log10_; }
  // Of the last walk: where its task could go on.
  std::uint32_t stays() const { return stays_; }
  // About how often a task can go on in a walk. A walk with few preemptions is to have them
  // anywhere, not all at its beginning: uniform answers would hardly ever reach its end with one
  // left. Any odds are unbiased if the weight is the inverse.
  void expect_stays(std::uint32_t stays) { stays_expected_ = std::max(1u, stays); }

  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    log10_ = 0;
    stays_ = 0;
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const TaskId ran = s.current_id();
    if (ran == kNoTask || (runnable & task_bit(ran)) == 0) return any_of(runnable);
    ++stays_;
    if (preemptions_max_ == ScheduleEstimate::kAny) return any_of(runnable);
    const auto left =
        static_cast<std::uint32_t>(preemptions_max_ - std::min(preemptions_max_, s.preemptions()));
    if (left == 0) return ran;
    const std::uint32_t all = std::min(left, stays_expected_) + stays_expected_;
    const bool stay = prng_.below(all) < stays_expected_;
    log10_ += std::log10(all) - std::log10(stay ? stays_expected_ : all - stays_expected_);
    return stay ? ran : any_of(runnable & ~task_bit(ran));
  }
  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return draw(count);
  }

 private:
  TaskId any_of(TaskMask tasks) { return nth_task(tasks, draw(count_tasks(tasks))); }
  std::uint32_t draw(std::uint32_t count) {
    log10_ += std::log10(count);
    return prng_.below(count);
  }

  std::uint64_t preemptions_max_;
  Prng prng_{0};
  double log10_ = 0;
  std::uint32_t stays_ = 0;
  std::uint32_t stays_expected_ = 1;
};

}  // namespace

ScheduleEstimate estimate_schedules(World& world, RunOptions options, unsigned preemptions,
                                    unsigned walks) {
  ScheduleEstimate estimate;
  estimate.walks = walks;
  Probe straight(0);
  world.run(straight, options);
  Probe probe(preemptions);
  probe.expect_stays(straight.stays());
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
