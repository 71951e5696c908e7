// SPDX-License-Identifier: GPL-2.0-only
// How many orders a scenario has without preemptions: every schedule that switches only where it
// has to, one by one from the start, against what the bounded search counts. No cache, no pruning.
#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/explore.h"
#include "engine/run.h"
#include "scheduler/search/order_hash.h"

namespace interleaf {
namespace {

// Takes the next path of the tree of choices with every run.
class EverySchedule final : public Strategy {
 public:
  bool next() {
    while (!path_.empty() && ++path_.back().taken == path_.back().count) path_.pop_back();
    return !path_.empty();
  }
  const Hash128& order() const { return order_.total(); }

  void begin(std::uint64_t) override {
    at_ = 0;
    order_.clear();
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    const TaskId ran = s.current_id();
    if (ran != kNoTask && (runnable & task_bit(ran)) != 0) return performed(s, ran);
    TaskMask rest = runnable;
    for (unsigned skip = choose(static_cast<unsigned>(std::popcount(runnable))); skip > 0; --skip) {
      rest &= rest - 1;
    }
    return performed(s, static_cast<TaskId>(std::countr_zero(rest)));
  }
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const HeapScope heap;
    const unsigned value = choose(count);
    order_.value(s.current_id(), value);
    return value;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override {
    const HeapScope heap;
    performed(s, only);
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    const HeapScope heap;
    order_.event(s.current_id(), op, object);
  }

 private:
  struct Choice {
    unsigned taken;
    unsigned count;
  };
  unsigned choose(unsigned count) {
    if (at_ == path_.size()) path_.push_back({0, count});
    EXPECT_EQ(path_[at_].count, count);
    return path_[at_++].taken;
  }
  TaskId performed(const Scheduler& s, TaskId task) {
    order_.event(task, s.task(task).next);
    return task;
  }

  std::vector<Choice> path_;
  std::size_t at_ = 0;
  OrderHash order_;
};

std::size_t orders_by_brute_force(const std::shared_ptr<const Configuration>& configuration) {
  ScenarioWorld world(0, configuration);
  EverySchedule every;
  std::set<Hash128> orders;
  do {
    const RunResult& run = world.world().run(every, world.run_options());
    EXPECT_EQ(run.preemptions, 0);
    orders.insert(every.order());
  } while (every.next());
  return orders.size();
}

TEST(WithoutPreemptions, TheBoundedSearchCountsTheOrdersThatBruteForceFinds) {
  for (const char* name : {"control", "canary"}) {
    const auto configuration = configure(load_scenario(name), {});
    ExploreOptions options;
    options.preemptions_max = 0;
    options.keep_going = true;
    const ExploreReport report = explore(configuration, options);
    EXPECT_EQ(report.search.levels.at(0).classes, orders_by_brute_force(configuration)) << name;
  }
}

}  // namespace
}  // namespace interleaf
