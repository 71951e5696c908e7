// SPDX-License-Identifier: GPL-2.0-only
// Delay bounding: Emmi, Qadeer, Rakamaric: "Delay-bounded scheduling", POPL 2011. A deterministic
// base (the running task until it blocks or ends, then the next by id) is delayed a few times: the
// task that the base would take is passed over for the next one.
//
// Deviations: the delays are drawn, uniformly over the decisions 1 .. k, instead of enumerated; two
// at one decision pass over two tasks. Only decisions count, and k is what the maker says. A task
// that won kPatience decisions running is passed over too: it may poll without saying so.
#include <array>

#include "scheduler/scheduler.h"
#include "scheduler/strategies/sampling.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Delay final : public Strategy {
 public:
  Delay(unsigned delays, std::uint32_t decisions) : delays_max_(delays), decisions_(decisions) {
    CHECK(delays <= kDelaysMax && decisions > 0);
  }

  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    delays_ = delays_max_ != kDrawnPerRun ? delays_max_ : 1 + prng_.below(5);
    for (unsigned i = 0; i < delays_; ++i) delay_at_[i] = 1 + prng_.below(decisions_);
    decision_ = 0;
    streak_ = Streak();
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    ++decision_;
    const TaskId ran = scheduler.current_id();
    const bool stays = ran != kNoTask && (runnable & task_bit(ran)) != 0;
    TaskId task = stays ? ran : next_in_round(ran, runnable);
    for (unsigned i = 0; i < delays_; ++i) {
      if (delay_at_[i] == decision_) task = next_in_round(task, runnable);
    }
    if (streak_.too_long(task)) task = next_in_round(task, runnable);
    return task;
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  static constexpr unsigned kDelaysMax = 32;

  const unsigned delays_max_;
  const std::uint32_t decisions_;
  Prng prng_{0};
  unsigned delays_ = 0;
  std::array<std::uint32_t, kDelaysMax> delay_at_ = {};
  std::uint32_t decision_ = 0;
  Streak streak_;
};

}  // namespace

std::unique_ptr<Strategy> make_delay() { return make_delay(kDrawnPerRun); }

std::unique_ptr<Strategy> make_delay(unsigned delays, std::uint32_t decisions) {
  return std::make_unique<Delay>(delays, decisions);
}

}  // namespace interleaf
