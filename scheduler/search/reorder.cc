// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/reorder.h"

#include <algorithm>
#include <utility>

#include "scheduler/scheduler.h"
#include "scheduler/strategies/keep_running.h"

namespace interleaf {
namespace {

class ReorderedImpl final : public Reordered {
 public:
  ReorderedImpl(std::vector<const OrderedStep*> order, std::size_t exactly)
      : order_(std::move(order)), exactly_(exactly), done_(order_.size()) {}

  bool kept() const override { return good_ && at_ >= exactly_; }

  void begin(std::uint64_t) override {}
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    return take_first(s, runnable) ? taken_ : keep_running(s, runnable);
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override { take_first(s, task_bit(only)); }
  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    if (step_ == nullptr || value_ >= step_->values.size()) return 0;
    return std::min(step_->values[value_++], count - 1);
  }

 private:
  bool take_first(const Scheduler& s, TaskMask runnable) {
    step_ = nullptr;
    for (std::size_t i = at_; i < order_.size(); ++i) {
      if (done_[i]) continue;
      if ((runnable & task_bit(order_[i]->task)) != 0) {
        take(s, i);
        return true;
      }
      if (i < exactly_) good_ = false;
    }
    return false;
  }

  void take(const Scheduler& s, std::size_t i) {
    taken_ = order_[i]->task;
    done_[i] = true;
    const bool as_wanted = s.task(taken_).next.op == order_[i]->access.op;
    if (i < exactly_ && !as_wanted) good_ = false;
    if (as_wanted) step_ = order_[i];
    value_ = 0;
    while (at_ < order_.size() && done_[at_]) ++at_;
  }

  const std::vector<const OrderedStep*> order_;
  const std::size_t exactly_;
  std::vector<bool> done_;
  std::size_t at_ = 0;  // the first that is not done
  TaskId taken_ = kNoTask;
  const OrderedStep* step_ = nullptr;  // under way, as it was
  std::size_t value_ = 0;
  bool good_ = true;
};

}  // namespace

std::unique_ptr<Reordered> make_reordered(std::vector<const OrderedStep*> order,
                                          std::size_t exactly) {
  return std::make_unique<ReorderedImpl>(std::move(order), exactly);
}

}  // namespace interleaf
