// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/coverage.h"

#include <algorithm>

#include "scheduler/dependence.h"
#include "scheduler/prng.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  std::uint64_t state = a ^ (b * 0x9e3779b97f4a7c15);
  return split_mix(state);
}

// How many of the ascending `firsts` lie in the last `runs` of `all` runs.
std::uint64_t count_since(const std::vector<std::uint64_t>& firsts, std::uint64_t all,
                          std::uint64_t runs) {
  const std::uint64_t from = all - std::min(all, runs);
  return static_cast<std::uint64_t>(firsts.end() -
                                    std::lower_bound(firsts.begin(), firsts.end(), from));
}

class Watched final : public Strategy {
 public:
  Watched(Strategy& inner, Coverage& coverage) : inner_(inner), coverage_(coverage) {}

  void begin(std::uint64_t seed) override {
    coverage_.begin_run();
    inner_.begin(seed);
    inner_sees_forced_ = inner_.sees_forced();
  }
  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const TaskId task = inner_.pick(scheduler, runnable);
    if (task != kPause) coverage_.event(scheduler, task, scheduler.task(task).next);
    return task;
  }
  unsigned pick_value(const Scheduler& scheduler, const char* kind, unsigned count) override {
    const unsigned value = inner_.pick_value(scheduler, kind, count);
    coverage_.value(scheduler.current_id(), value);
    return value;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override {
    if (inner_sees_forced_) inner_.forced(scheduler, only);
    coverage_.event(scheduler, only, scheduler.task(only).next);
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler& scheduler, Op op, std::uint32_t object) override {
    coverage_.also(scheduler.current_id(), op, object);
    if (inner_.sees_also()) inner_.also(scheduler, op, object);
  }

 private:
  Strategy& inner_;
  Coverage& coverage_;
  bool inner_sees_forced_ = false;
};

}  // namespace

void Coverage::begin_run() {
  order_.clear();
  fresh_handoffs_.clear();
}

Coverage::Object& Coverage::object(std::uint32_t number) {
  if (number >= objects_.size()) objects_.resize(std::max(2 * objects_.size(), number + 64ul));
  Object& object = objects_[number];
  if (object.run != runs_ + 1) object = {.run = runs_ + 1};
  return object;
}

void Coverage::event(const Scheduler& scheduler, TaskId task, const Access& access) {
  const HeapScope heap;
  kinds_.learn(scheduler.arena());
  order_.event(task, access);
  if (access.object == kPrivateObject) return;
  Object& object = this->object(access.object);
  const Function* function = scheduler.task(task).function();
  const Side now{task, access.op, function == nullptr ? 0 : function->hash};
  const bool exclusive = commuting_class(access.op) == CommutingClass::kExclusive;
  const Side before = exclusive ? object.last : object.last_exclusive;
  object.last = now;
  if (exclusive) object.last_exclusive = now;
  if (before.task == task || before.task == kNoTask) return;
  if (object.kind == 0) object.kind = kinds_.of(scheduler.arena(), access.address);
  const std::uint64_t functions = std::uint64_t{before.function} << 32 | now.function;
  const std::uint64_t operations =
      static_cast<std::uint64_t>(before.op) << 8 | static_cast<std::uint64_t>(now.op);
  const std::uint64_t handoff = mixed(mixed(object.kind, functions), operations) | 1;
  if (insert_handoff(handoff)) fresh_handoffs_.push_back(handoff);
}

void Coverage::also(TaskId task, Op op, std::uint32_t object) {
  const HeapScope heap;
  order_.event(task, op, object);
}

bool Coverage::insert_handoff(std::uint64_t handoff) {
  const auto place_of = [&](std::uint64_t wanted) -> std::uint64_t& {
    const std::size_t mask = handoff_table_.size() - 1;
    std::size_t at = wanted >> 1 & mask;
    while (handoff_table_[at] != 0 && handoff_table_[at] != wanted) at = (at + 1) & mask;
    return handoff_table_[at];
  };
  if (2 * (handoff_runs_.size() + 1) > handoff_table_.size()) {
    std::vector<std::uint64_t> old(std::max<std::size_t>(1024, 2 * handoff_table_.size()));
    old.swap(handoff_table_);
    for (const std::uint64_t kept : old) {
      if (kept != 0) place_of(kept) = kept;
    }
  }
  std::uint64_t& place = place_of(handoff);
  if (place == handoff) return false;
  place = handoff;
  handoff_runs_.push_back(runs_);
  return true;
}

std::uint64_t Coverage::count_class(const Hash128& order) {
  const auto place_of = [&](const Hash128& wanted) -> Class& {
    const std::size_t mask = class_table_.size() - 1;
    std::size_t at = wanted.low & mask;
    while (class_table_[at].count != 0 && class_table_[at].order != wanted) at = (at + 1) & mask;
    return class_table_[at];
  };
  if (2 * (classes_ + 1) > class_table_.size()) {
    std::vector<Class> old(std::max<std::size_t>(1024, 2 * class_table_.size()));
    old.swap(class_table_);
    for (const Class& kept : old) {
      if (kept.count != 0) place_of(kept.order) = kept;
    }
  }
  Class& place = place_of(order);
  place.order = order;
  return ++place.count;
}

RunCoverage Coverage::end_run() {
  RunCoverage run;
  run.new_handoffs = static_cast<std::uint32_t>(fresh_handoffs_.size());
  run.order = order_.total();
  const std::uint64_t count = counts_orders_ ? count_class(run.order) : 0;
  run.new_class = count == 1;
  if (count == 1) {
    ++classes_;
    ++once_;
    class_runs_.push_back(runs_);
  } else if (count == 2) {
    --once_;
    ++twice_;
  } else if (count == 3) {
    --twice_;
  }
  ++runs_;
  return run;
}

std::uint64_t Coverage::handoffs_since(std::uint64_t runs) const {
  return count_since(handoff_runs_, runs_, runs);
}

std::uint64_t Coverage::classes_since(std::uint64_t runs) const {
  return count_since(class_runs_, runs_, runs);
}

std::vector<std::uint64_t> Coverage::handoff_set() const {
  std::vector<std::uint64_t> set;
  for (const std::uint64_t handoff : handoff_table_) {
    if (handoff != 0) set.push_back(handoff);
  }
  std::sort(set.begin(), set.end());
  return set;
}

std::unique_ptr<Strategy> watch(Strategy& inner, Coverage& coverage) {
  return std::make_unique<Watched>(inner, coverage);
}

}  // namespace interleaf
