// SPDX-License-Identifier: GPL-2.0-only
// PCT: Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized scheduler with probabilistic
// guarantees of finding bugs", ASPLOS 2010. The runnable task of highest priority goes on; at d - 1
// decisions drawn beforehand, the one that would go on falls below all initial priorities. With n
// tasks and k decisions, a bug of depth d is found with probability 1/(n k^(d-1)) or more.
//
// Deviations: only decisions count, steps that one task alone can make do not; k is what the maker
// says, never what earlier runs had, so that a seed means one schedule. The bound holds for runs of
// up to k decisions. A task that polls falls below all others at each relax(), and any task after
// kPatience decisions won running; the bound is for programs that do neither.
#include "scheduler/strategies/pct.h"

#include <algorithm>
#include <array>
#include <limits>

#include "scheduler/scheduler.h"
#include "scheduler/strategies/sampling.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Pct final : public Strategy, public PctSource {
 public:
  Pct(unsigned depth, std::uint32_t decisions) : depth_(depth), decisions_(decisions) {
    CHECK(depth <= kDepthMax && decisions > 0);
  }

  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    const unsigned depth = depth_ != kDrawnPerRun ? depth_ : 2 + prng_.below(5);
    changes_ = depth - 1;
    // Not sorted: a later change may leave its task above that of an earlier one.
    for (unsigned i = 0; i < changes_; ++i) change_at_[i] = 1 + prng_.below(decisions_);
    decision_ = 0;
    granted_ = 0;
    stay_ = Stay();
    lowest_ = 0;
    bent_ = false;
    streak_ = Streak();
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const std::uint32_t stayed = granted_ - stay_.left;
    streak_.add(stayed);
    decision_ += stayed + 1;
    granted_ = 0;
    stay_ = Stay();
    return settle(scheduler, runnable);
  }
  // Whoever won among the same tasks wins again, as long as no priority changes.
  Stay* stay() override { return &stay_; }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

  std::optional<PctRun> pct_run() const override {
    return PctRun{changes_ + 1, decision_ + granted_ - stay_.left, decisions_, bent_};
  }

 private:
  static constexpr unsigned kDepthMax = 32;

  TaskId settle(const Scheduler& scheduler, TaskMask runnable) {
    if (decision_ == 1) deal(scheduler.task_count());
    TaskId task = highest(scheduler, runnable);
    int change = 0;
    for (unsigned i = 0; i < changes_; ++i) {
      if (change_at_[i] == decision_) change = static_cast<int>(i) + 1;
    }
    if (change != 0) {
      priority_[task] = change;
      task = highest(scheduler, runnable);
    }
    if (streak_.too_long(task)) {
      bent_ = true;
      priority_[task] = --lowest_;
      return highest(scheduler, runnable);
    }
    granted_ = streak_.left() - 1;
    for (unsigned i = 0; i < changes_; ++i) {
      if (change_at_[i] > decision_) granted_ = std::min(granted_, change_at_[i] - decision_ - 1);
    }
    stay_ = {runnable, granted_};
    return task;
  }

  // A random permutation of priorities above those of the changes.
  void deal(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      const std::uint32_t other = prng_.below(i + 1);
      priority_[i] = priority_[other];
      priority_[other] = static_cast<int>(kDepthMax + i);
      yielded_at_[i] = kNever;
    }
  }

  // Whoever would win but polls falls to the bottom, once for each time that it relaxes.
  TaskId highest(const Scheduler& scheduler, TaskMask runnable) {
    for (;;) {
      TaskId best = kNoTask;
      int best_priority = std::numeric_limits<int>::min();
      for_each_task(runnable, [&](TaskId task) {
        if (priority_[task] <= best_priority) return;
        best = task;
        best_priority = priority_[task];
      });
      const Task& task = scheduler.task(best);
      if (task.next.op != Op::kRelax || yielded_at_[best] == task.own_steps) return best;
      yielded_at_[best] = task.own_steps;
      bent_ = true;
      priority_[best] = --lowest_;
    }
  }

  static constexpr std::uint32_t kNever = ~std::uint32_t{0};

  const unsigned depth_;
  const std::uint32_t decisions_;
  Prng prng_{0};
  unsigned changes_ = 0;
  bool bent_ = false;
  std::uint32_t decision_ = 0;
  Stay stay_;
  std::uint32_t granted_ = 0;  // what stay_.left was set to
  int lowest_ = 0;
  Streak streak_;
  std::array<std::uint32_t, kDepthMax> change_at_ = {};
  std::array<int, kTasksMax> priority_ = {};
  std::array<std::uint32_t, kTasksMax> yielded_at_ = {};  // Task::own_steps
};

}  // namespace

std::unique_ptr<Strategy> make_pct() { return make_pct(kDrawnPerRun); }

std::unique_ptr<Strategy> make_pct(unsigned depth, std::uint32_t decisions) {
  return std::make_unique<Pct>(depth, decisions);
}

}  // namespace interleaf
