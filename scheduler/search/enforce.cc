// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/enforce.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/dependence.h"
#include "scheduler/search/linearize.h"
#include "scheduler/search/reorder.h"

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

// Lets `inner` choose among what the filter leaves.
class Filtered final : public Strategy {
 public:
  Filtered(Strategy& inner, ChoiceFilter& filter) : inner_(inner), filter_(filter) {}

  void begin(std::uint64_t seed) override {
    filter_.begin();
    inner_.begin(seed);
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    const TaskMask allowed = filter_.allowed(s, runnable);
    TaskId next = static_cast<TaskId>(std::countr_zero(allowed));
    if ((allowed & (allowed - 1)) != 0) {
      next = inner_.pick(s, allowed);
    } else if (inner_.sees_forced()) {
      inner_.forced(s, next);
    }
    filter_.goes_on(s, next);
    return next;
  }
  unsigned pick_value(const Scheduler& s, const char* kind, unsigned count) override {
    return inner_.pick_value(s, kind, count);
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override {
    const HeapScope heap;
    filter_.allowed(s, task_bit(only));  // it is told that nobody else can go on
    filter_.goes_on(s, only);
    if (inner_.sees_forced()) inner_.forced(s, only);
  }
  bool sees_also() const override { return inner_.sees_also(); }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    inner_.also(s, op, object);
  }

 private:
  Strategy& inner_;
  ChoiceFilter& filter_;
};

// A run that keeps the order has the finding: of several, one with the fewest preemptions.
void note(const RunResult& run, const char* found_by, EnforceResult& result) {
  if (result.outcome == Enforced::kLeaves && result.preemptions <= run.preemptions) return;
  result.outcome = Enforced::kLeaves;
  result.found_by = found_by;
  result.preemptions = run.preemptions;
}

// Runs of the old steps, each as soon as it is not held, but that the held task's steps from the
// group's access on come later: at first where the filter puts them, then behind one step more, and
// so on. True if one has the finding.
bool old_order_has_it(World& world, const CauseGroup& group, Enforcing& filter,
                      const EnforceOptions& options,
                      const std::function<bool(const RunResult&)>& same, EnforceResult& result) {
  const auto replay = make_replay(options.schedule);
  const auto recorder = make_step_recorder(*replay);
  world.run(*recorder, options.run);
  const OrderedRun steps = recorder->steps();
  const AccessSite& held = group.atomicity ? group.foreign : group.first;
  for (std::size_t behind = held.step; behind <= steps.size(); ++behind) {
    if (behind > held.step && steps[behind - 1].task == held.task) continue;
    std::vector<const OrderedStep*> order, moved;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (i == behind) order.insert(order.end(), moved.begin(), moved.end());
      const bool moves = steps[i].task == held.task && i + 1 >= held.step && i < behind;
      (moves ? moved : order).push_back(&steps[i]);
    }
    if (behind >= steps.size()) order.insert(order.end(), moved.begin(), moved.end());
    const auto reordered = make_reordered(std::move(order), 0);
    Filtered filtered(*reordered, filter);
    const RunResult& run = world.run(filtered, options.run);
    if (same(run) && !filter.gave_up()) note(run, "the old order", result);
  }
  return result.outcome == Enforced::kLeaves;
}

// Samples of random priorities (pos), up to one that has the finding.
void sample_it(World& world, Enforcing& filter, const EnforceOptions& options,
               const std::function<bool(const RunResult&)>& same, EnforceResult& result) {
  const auto pos = make_pos();
  Filtered filtered(*pos, filter);
  RunOptions run_options = options.run;
  for (std::uint64_t seed = 0; seed < options.sample_runs; ++seed) {
    run_options.seed = seed;
    const RunResult& run = world.run(filtered, run_options);
    if (!same(run) || filter.gave_up()) continue;
    note(run, "a random run", result);
    return;
  }
}

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
  result.bound = options.preemptions;
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
  if (result.outcome == Enforced::kUndecided && !options.schedule.empty() &&
      !old_order_has_it(world, group, *filter, options, same, result)) {
    sample_it(world, *filter, options, same, result);
  }
  return result;
}

}  // namespace interleaf
