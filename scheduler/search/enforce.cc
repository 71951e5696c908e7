// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/enforce.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "scheduler/dependence.h"

namespace interleaf {
namespace {

bool is_at(const Task& task, const AccessSite& site) {
  if (task.id != site.task || task.next.op != site.op || task.next.where.line() != site.line) {
    return false;
  }
  const std::string_view file = task.next.where.file_name();
  return file.substr(file.rfind('/') + 1) == site.file;
}

class Enforcing : public ChoiceFilter {
 public:
  // The order could not be kept in the run at hand.
  bool gave_up() const { return gave_up_; }

  void begin() final {
    gave_up_ = false;
    begin_run();
  }
  TaskMask allowed(const Scheduler& s, TaskMask runnable) final {
    TaskMask result = runnable;
    for (TaskId id = 0; id < s.task_count(); ++id) {
      if ((runnable & task_bit(id)) != 0 && held(s, s.task(id))) result &= ~task_bit(id);
    }
    if (result != 0) return result;
    gave_up_ = true;
    return runnable;
  }

 private:
  virtual void begin_run() = 0;
  virtual bool held(const Scheduler& s, const Task& task) const = 0;

  bool gave_up_ = false;
};

class Atomically final : public Enforcing {
 public:
  explicit Atomically(const CauseGroup& group) : group_(group) {}

  void goes_on(const Scheduler& s, TaskId id) override {
    if (id != group_.first.task) return;
    const Task& task = s.task(id);
    const Function* const outermost = task.depth == 0 ? nullptr : task.stack[0];
    if (inside_ && outermost != outermost_) inside_ = false;
    const bool was_inside = inside_;
    if (!inside_ && is_at(task, group_.first)) {
      inside_ = true;
      outermost_ = outermost;
      done_.clear();
    }
    if (inside_) done_.push_back(task.next);
    if (was_inside && is_at(task, group_.last)) inside_ = false;
  }

 private:
  void begin_run() override {
    inside_ = false;
    done_.clear();
  }
  bool held(const Scheduler& s, const Task& task) const override {
    if (!inside_ || task.id == group_.first.task) return false;
    const Task& own = s.task(group_.first.task);
    if (own.finished) return false;
    const auto conflicts = [&](const Access& access) { return dependent(access, task.next); };
    const bool own_can_go_on = (s.runnable() & task_bit(own.id)) != 0;
    return std::any_of(done_.begin(), done_.end(), conflicts) ||
           (own_can_go_on && conflicts(own.next));
  }

  const CauseGroup& group_;
  bool inside_ = false;
  const Function* outermost_ = nullptr;
  std::vector<Access> done_;  // in the region
};

class InOrder final : public Enforcing {
 public:
  explicit InOrder(const CauseGroup& group) : group_(group) {}

  void goes_on(const Scheduler& s, TaskId id) override {
    done_ = done_ || is_at(s.task(id), group_.foreign);
  }

 private:
  void begin_run() override { done_ = false; }
  bool held(const Scheduler& s, const Task& task) const override {
    return !done_ && is_at(task, group_.first) && !s.task(group_.foreign.task).finished;
  }

  const CauseGroup& group_;
  bool done_ = false;
};

}  // namespace

EnforceResult test_enforced(World& world, const CauseGroup& group, const EnforceOptions& options,
                            const std::function<bool(const RunResult&)>& same) {
  std::unique_ptr<Enforcing> filter;
  if (group.atomicity) {
    filter = std::make_unique<Atomically>(group);
  } else {
    filter = std::make_unique<InOrder>(group);
  }
  EnforceResult result;
  BoundedOptions bounded;
  bounded.preemptions_max = options.preemptions;
  bounded.runs_max = options.runs_max;
  bounded.prefixes_max = options.prefixes_max;
  bounded.stop_at_first = true;
  bounded.run = options.run;
  bounded.filter = filter.get();
  bounded.signature = [&](const RunResult& run) {
    return same(run) && !filter->gave_up() ? "it" : "";
  };
  bounded.ended = [&](const RunResult&, const Hash128&) { result.given_up += filter->gave_up(); };
  const BoundedResult search = explore_bounded(world, bounded);
  result.bound = options.preemptions;
  result.orders = search.classes;
  result.runs = search.runs;
  result.budget = search.budget;
  if (!search.findings.empty()) {
    result.outcome = Enforced::kLeaves;
    result.preemptions = search.findings.front().preemptions;
  } else if (!search.complete) {
    result.outcome = Enforced::kUndecided;
  } else {
    result.outcome = result.given_up != 0 ? Enforced::kDeadlocks : Enforced::kCloses;
  }
  return result;
}

}  // namespace interleaf
