// SPDX-License-Identifier: GPL-2.0-only
// Replay: follows a schedule to its end, then an inner strategy. A schedule that cannot be
// followed is said to have diverged; from there on the inner strategy answers too.
#include <utility>

#include "scheduler/strategies/keep_running.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Replay final : public ReplayStrategy {
 public:
  Replay(Schedule schedule, std::unique_ptr<Strategy> inner)
      : schedule_(std::move(schedule)), inner_(std::move(inner)) {
    if (inner_ == nullptr) inner_ = make_keep_running();
  }

  void begin(std::uint64_t seed) override {
    next_ = 0;
    diverged_ = false;
    inner_->begin(seed);
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    if (next_ < schedule_.size() && !diverged_) {
      const std::uint8_t byte = schedule_[next_];
      if (byte < kTasksMax && (runnable & task_bit(byte)) != 0) {
        ++next_;
        return byte;
      }
      diverged_ = true;
    }
    return inner_->pick(scheduler, runnable);
  }

  unsigned pick_value(const Scheduler& scheduler, const char* kind, unsigned count) override {
    if (next_ < schedule_.size() && !diverged_) {
      const std::uint8_t byte = schedule_[next_];
      if (byte >= kDataChoice && byte - kDataChoice < static_cast<int>(count)) {
        ++next_;
        return byte - kDataChoice;
      }
      diverged_ = true;
    }
    return inner_->pick_value(scheduler, kind, count);
  }

  bool diverged() const override { return diverged_; }
  std::size_t diverged_at() const override { return next_; }
  std::size_t consumed() const override { return next_; }

 private:
  Schedule schedule_;
  std::unique_ptr<Strategy> inner_;
  std::size_t next_ = 0;
  bool diverged_ = false;
};

}  // namespace

std::unique_ptr<ReplayStrategy> make_replay(Schedule schedule, std::unique_ptr<Strategy> inner) {
  return std::make_unique<Replay>(std::move(schedule), std::move(inner));
}

}  // namespace interleaf
