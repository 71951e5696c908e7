// SPDX-License-Identifier: GPL-2.0-only
// SURW: Zhao, Wolff, Mathur, Roychoudhury: "Selectively uniform concurrency testing", ASPLOS 2025.
// Uniform over the orders of the interesting events alone. The task of the next interesting event
// is drawn in proportion to the interesting events that each has left; whoever else is about to
// perform one is held until then. Between them, tasks go on at random.
//
// What a task will start counts as its own until then (starts.h); if the target starts another, the
// one of the two that performs the next interesting event is drawn.
//
// Deviations: events are interesting by their object. After kPatience decisions without an
// interesting event another task is drawn: the one that was may poll for what a held one would do.
#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "scheduler/scheduler.h"
#include "scheduler/strategies/sampling.h"
#include "scheduler/strategies/starts.h"
#include "scheduler/strategies/trial.h"
#include "scheduler/strategy.h"
#include "scheduler/task_mask.h"

namespace interleaf {
namespace {

class Surw final : public Strategy {
 public:
  Surw(std::vector<ObjectPlace> objects, const std::vector<std::uint32_t>& counts,
       const Starts& starts)
      : objects_(std::move(objects)), starts_(starts) {
    CHECK(counts.size() <= kTasksMax);
    CHECK(std::accumulate(counts.begin(), counts.end(), std::uint64_t{kTasksMax}) >> 32 == 0);
    std::copy(counts.begin(), counts.end(), counts_.begin());
    std::sort(objects_.begin(), objects_.end());
  }

  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    left_ = counts_;
    forget();
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    if (target_ != kNoTask) follow_starts(scheduler, runnable);
    if (target_ != kNoTask && ((runnable & task_bit(target_)) == 0 || --patience_ == 0)) forget();
    // Ends: the target, once there is one, is runnable and never held.
    for (;;) {
      const TaskMask free = runnable & ~held_;
      const TaskId task = nth_task(free, prng_.below(count_tasks(free)));
      if (!is_interesting(scheduler, task)) return task;
      if (left_[task] == 0) left_[task] = 1;  // the count was wrong
      if (target_ == kNoTask) {
        target_ = draw_weighted(prng_, free, [&](TaskId id) {
          return left_[id] + starts_.count(starts_.waiting(scheduler, runnable, id));
        });
        to_start_ = starts_.waiting(scheduler, runnable, target_);
      }
      if (task == target_) {
        --left_[task];
        forget();
        return task;
      }
      held_ |= task_bit(task);
    }
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override {
    const bool interesting = is_interesting(scheduler, only);
    if (interesting && left_[only] > 0) --left_[only];
    if (interesting || only != target_) forget();
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  // The target may have started another since the last decision: then it is one of the two.
  void follow_starts(const Scheduler& scheduler, TaskMask runnable) {
    const TaskMask waiting = starts_.waiting(scheduler, runnable, target_);
    const TaskMask started = to_start_ & ~waiting;
    if (started == 0) return;
    const TaskId starter = target_;
    target_ = draw_weighted(prng_, started | task_bit(starter), [&](TaskId id) {
      return id == starter ? left_[id] + starts_.count(waiting) : starts_.count(task_bit(id));
    });
    to_start_ = starts_.waiting(scheduler, runnable, target_);
  }
  bool is_interesting(const Scheduler& scheduler, TaskId task) const {
    const Access& next = scheduler.task(task).next;
    return next.object != kPrivateObject &&
           std::binary_search(objects_.begin(), objects_.end(),
                              object_place(scheduler.arena(), next.address));
  }
  void forget() {
    target_ = kNoTask;
    held_ = 0;
    patience_ = kPatience;
  }

  std::vector<ObjectPlace> objects_;  // sorted
  std::array<std::uint32_t, kTasksMax> counts_ = {};
  const Starts starts_;
  Prng prng_{0};
  std::array<std::uint32_t, kTasksMax> left_ = {};
  TaskId target_ = kNoTask;  // performs the next interesting event
  TaskMask to_start_ = 0;    // by the target, at the last decision
  TaskMask held_ = 0;        // about to perform one, but not the target
  std::uint32_t patience_ = kPatience;
};

}  // namespace

std::unique_ptr<Strategy> make_surw(std::vector<ObjectPlace> objects,
                                    const std::vector<std::uint32_t>& counts) {
  return std::make_unique<Surw>(std::move(objects), counts, Starts());
}

std::unique_ptr<Strategy> make_surw(std::vector<ObjectPlace> objects,
                                    const std::vector<std::uint32_t>& counts,
                                    const std::vector<TaskId>& started_by) {
  return std::make_unique<Surw>(std::move(objects), counts, Starts(counts, started_by));
}

}  // namespace interleaf
