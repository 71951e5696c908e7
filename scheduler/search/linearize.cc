// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/linearize.h"

#include <algorithm>

#include "scheduler/check.h"
#include "scheduler/dependence.h"
#include "scheduler/scheduler.h"
#include "scheduler/strategies/keep_running.h"

namespace interleaf {
namespace {

class Recorder final : public StepRecorder {
 public:
  explicit Recorder(Strategy& inner) : inner_(inner) {}

  const OrderedRun& steps() const override { return steps_; }

  void begin(std::uint64_t seed) override {
    steps_.clear();
    inner_.begin(seed);
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const TaskId next = inner_.pick(s, runnable);
    if (next != kPause) add(s, next);
    return next;
  }
  unsigned pick_value(const Scheduler& s, const char* kind, unsigned count) override {
    const unsigned value = inner_.pick_value(s, kind, count);
    const HeapScope heap;
    if (!steps_.empty()) steps_.back().values.push_back(value);
    return value;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override {
    if (inner_.sees_forced()) inner_.forced(s, only);
    add(s, only);
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    if (inner_.sees_also()) inner_.also(s, op, object);
    const HeapScope heap;
    if (!steps_.empty()) steps_.back().also.push_back({op, object});
  }

 private:
  void add(const Scheduler& s, TaskId task) {
    const HeapScope heap;
    OrderedStep& step = steps_.emplace_back();
    step.task = task;
    step.access = s.task(task).next;
  }

  Strategy& inner_;
  OrderedRun steps_;
};

class FollowerImpl final : public Follower {
 public:
  explicit FollowerImpl(const std::vector<const OrderedStep*>& order) : order_(order) {}

  std::size_t followed() const override { return at_; }
  bool good() const override { return good_; }

  void begin(std::uint64_t) override {
    at_ = 0;
    good_ = true;
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    if (good_ && at_ < order_.size()) {
      const TaskId task = order_[at_]->task;
      if ((runnable & task_bit(task)) != 0) {
        step(s, task);
        return task;
      }
      good_ = false;
    }
    return keep_running(s, runnable);
  }
  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    if (!good_ || at_ == 0 || value_ >= order_[at_ - 1]->values.size()) return 0;
    return std::min(order_[at_ - 1]->values[value_++], count - 1);
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override {
    if (!good_ || at_ >= order_.size()) return;
    if (order_[at_]->task == only) {
      step(s, only);
    } else {
      good_ = false;
    }
  }

 private:
  void step(const Scheduler& s, TaskId task) {
    if (s.task(task).next.op != order_[at_]->access.op) {
      good_ = false;
      return;
    }
    ++at_;
    value_ = 0;
  }

  const std::vector<const OrderedStep*> order_;
  std::size_t at_ = 0;
  std::size_t value_ = 0;  // of the step before at_
  bool good_ = true;
};

bool dependent(Op a, std::uint32_t a_object, Op b, std::uint32_t b_object) {
  Access x;
  x.op = a;
  x.object = a_object;
  Access y;
  y.op = b;
  y.object = b_object;
  return dependent(x, y);
}

}  // namespace

bool dependent(const OrderedStep& a, const OrderedStep& b) {
  if (dependent(a.access, b.access)) return true;
  for (const OrderedStep::Also& x : a.also) {
    if (dependent(x.op, x.object, b.access.op, b.access.object)) return true;
    for (const OrderedStep::Also& y : b.also) {
      if (dependent(x.op, x.object, y.op, y.object)) return true;
    }
  }
  return std::any_of(b.also.begin(), b.also.end(), [&](const OrderedStep::Also& y) {
    return dependent(a.access.op, a.access.object, y.op, y.object);
  });
}

std::unique_ptr<StepRecorder> make_step_recorder(Strategy& inner) {
  return std::make_unique<Recorder>(inner);
}

std::unique_ptr<Follower> make_follower(const std::vector<const OrderedStep*>& order) {
  return std::make_unique<FollowerImpl>(order);
}

PartialOrder::PartialOrder(const OrderedRun& run) : after_(run.size()), before_(run.size()) {
  for (const OrderedStep& step : run) tasks_.push_back(step.task);
  for (std::uint32_t later = 0; later < run.size(); ++later) {
    for (std::uint32_t earlier = 0; earlier < later; ++earlier) {
      const bool ordered = later + 1 == run.size() || run[earlier].task == run[later].task ||
                           dependent(run[earlier], run[later]);
      if (!ordered) continue;
      after_[earlier].push_back(later);
      ++before_[later];
    }
  }
}

Linearization PartialOrder::draw(Prng& prng) const {
  std::vector<std::uint32_t> before = before_;
  std::vector<std::uint32_t> ready;
  for (std::uint32_t i = 0; i < before.size(); ++i) {
    if (before[i] == 0) ready.push_back(i);
  }
  Linearization order;
  const std::uint32_t stay = 1 + prng.below(8);
  while (!ready.empty()) {
    std::size_t which = prng.below(static_cast<std::uint32_t>(ready.size()));
    if (!order.empty() && prng.below(stay) != 0) {
      for (std::size_t i = 0; i < ready.size(); ++i) {
        if (tasks_[ready[i]] == tasks_[order.back()]) which = i;
      }
    }
    const std::uint32_t step = ready[which];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(which));
    order.push_back(step);
    for (const std::uint32_t later : after_[step]) {
      if (--before[later] == 0) ready.push_back(later);
    }
  }
  CHECK(order.size() == before.size());
  return order;
}

Linearization between(const Linearization& from, const Linearization& to, std::size_t taken) {
  CHECK(from.size() == to.size() && taken <= to.size());
  Linearization order(to.begin(), to.begin() + static_cast<std::ptrdiff_t>(taken));
  std::vector<bool> in(from.size());
  for (const std::uint32_t step : order) in[step] = true;
  for (const std::uint32_t step : from) {
    if (!in[step]) order.push_back(step);
  }
  return order;
}

}  // namespace interleaf
