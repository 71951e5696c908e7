// SPDX-License-Identifier: GPL-2.0-only
// Portfolio: the seed decides per run which strategy goes: 40 % POS, 25 % SURW on one object that
// tasks share, 20 % PCT, 10 % URW, 5 % random. No strategy is best for all programs: POS covers
// most, PCT is the only one with a bound for rare deep orders. The shares are advice, not measured.
//
// Everything is made from one trial run beforehand, so that a run depends on (trial, seed) alone.
#include <algorithm>
#include <string_view>

#include "scheduler/prng.h"
#include "scheduler/strategies/pct.h"
#include "scheduler/strategies/trial.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Portfolio final : public PortfolioStrategy, public PctSource {
 public:
  explicit Portfolio(const Trial& trial)
      : pos_{"pos", make_pos()},
        pct_{"pct", make_pct(kDrawnPerRun, std::max<std::uint32_t>(trial.decisions, 1))},
        urw_{"urw", make_urw(trial)},
        random_{"random", make_random()} {
    for (const Trial::Object& object : trial.objects) {
      if (object.tasks() >= 2)
        surw_.push_back({"surw", make_surw({object.place}, object.events, trial.started_by)});
    }
  }

  void begin(std::uint64_t seed) override {
    Prng prng(seed);
    const std::uint32_t percent = prng.below(100);
    chosen_ = &pos_;
    if (percent >= 95) {
      chosen_ = &random_;
    } else if (percent >= 85) {
      chosen_ = &urw_;
    } else if (percent >= 65) {
      chosen_ = &pct_;
    } else if (percent >= 40 && !surw_.empty()) {
      chosen_ = &surw_[prng.below(static_cast<std::uint32_t>(surw_.size()))];
    }
    chosen_->strategy->begin(prng.next());
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    return chosen_->strategy->pick(scheduler, runnable);
  }
  Stay* stay() override { return chosen_->strategy->stay(); }
  unsigned pick_value(const Scheduler& scheduler, const char* kind, unsigned count) override {
    return chosen_->strategy->pick_value(scheduler, kind, count);
  }
  bool sees_forced() const override { return chosen_->strategy->sees_forced(); }
  void forced(const Scheduler& scheduler, TaskId only) override {
    chosen_->strategy->forced(scheduler, only);
  }

  std::string_view chosen() const override { return chosen_->name; }

  std::optional<PctRun> pct_run() const override {
    const auto* source = dynamic_cast<const PctSource*>(chosen_->strategy.get());
    return source == nullptr ? std::nullopt : source->pct_run();
  }

 private:
  struct Member {
    std::string_view name;
    std::unique_ptr<Strategy> strategy;
  };

  Member pos_, pct_, urw_, random_;
  std::vector<Member> surw_;  // one per shared object; if there is none, POS takes their share
  Member* chosen_ = &pos_;
};

}  // namespace

std::unique_ptr<PortfolioStrategy> make_portfolio(const Trial& trial) {
  return std::make_unique<Portfolio>(trial);
}

}  // namespace interleaf
