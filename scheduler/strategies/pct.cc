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
    settled_until_ = 0;
    lowest_ = 0;
    bent_ = false;
    streak_ = Streak();
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    // Whoever won among the same tasks wins again, as long as no priority changes.
    if (++decision_ < settled_until_ && runnable == settled_for_ &&
        scheduler.task(settled_).next.op != Op::kRelax) {
      return settled_;
    }
    return settle(scheduler, runnable);
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

  std::optional<PctRun> pct_run() const override {
    return PctRun{changes_ + 1, decision_, decisions_, bent_};
  }

 private:
  static constexpr unsigned kDepthMax = 32;

  // Out of line: within pick() it would cost most decisions the saving of registers.
  [[gnu::noinline]] TaskId settle(const Scheduler& scheduler, TaskMask runnable) {
    if (decision_ == 1) deal(scheduler.task_count());
    if (settled_until_ != 0) streak_.add(decision_ - 1 - settled_at_);
    settled_until_ = 0;
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
    settled_for_ = runnable;
    settled_ = task;
    settled_at_ = decision_;
    settled_until_ = decision_ + streak_.left();
    for (unsigned i = 0; i < changes_; ++i) {
      if (change_at_[i] > decision_) settled_until_ = std::min(settled_until_, change_at_[i]);
    }
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
  // Who won, among whom, at which decision, and before which one that stays so; 0: unknown.
  TaskId settled_ = kNoTask;
  TaskMask settled_for_ = 0;
  std::uint32_t settled_at_ = 0;
  std::uint32_t settled_until_ = 0;
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
