// SPDX-License-Identifier: GPL-2.0-only
// URW: Zhao, Wolff, Mathur, Roychoudhury: "Selectively uniform concurrency testing", ASPLOS 2025. A
// task goes on with a probability in proportion to the events it has left: every interleaving is as
// likely as any other if the counts are right and no task blocks.
//
// What a task will start counts as its own until then (starts.h).
//
// Deviations: a task that has more events than were counted, or was not counted, has one left. Who
// waits for the end of a task it started (join) is weighed as if it did not.
#include <algorithm>
#include <array>
#include <numeric>

#include "scheduler/scheduler.h"
#include "scheduler/strategies/sampling.h"
#include "scheduler/strategies/starts.h"
#include "scheduler/strategies/trial.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Urw final : public Strategy {
 public:
  Urw(const std::vector<std::uint32_t>& counts, const Starts& starts) : starts_(starts) {
    CHECK(counts.size() <= kTasksMax);
    CHECK(std::accumulate(counts.begin(), counts.end(), std::uint64_t{kTasksMax}) >> 32 == 0);
    std::copy(counts.begin(), counts.end(), counts_.begin());
  }

  void begin(std::uint64_t seed) override { prng_ = Prng(seed); }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    return draw_weighted(prng_, runnable, [&](TaskId task) {
      const std::uint32_t done = scheduler.task(task).own_steps;
      const std::uint32_t own = counts_[task] > done ? counts_[task] - done : 1;
      return own + starts_.count(starts_.waiting(scheduler, runnable, task));
    });
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  Prng prng_{0};
  std::array<std::uint32_t, kTasksMax> counts_ = {};
  const Starts starts_;
};

}  // namespace

std::unique_ptr<Strategy> make_urw(const std::vector<std::uint32_t>& counts) {
  return std::make_unique<Urw>(counts, Starts());
}

std::unique_ptr<Strategy> make_urw(const Trial& trial) {
  return std::make_unique<Urw>(trial.events, Starts(trial.events, trial.started_by));
}

}  // namespace interleaf
