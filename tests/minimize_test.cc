// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/minimize.h"

#include <gtest/gtest.h>

#include "scheduler/sync/shared.h"

namespace interleaf {
namespace {

// Loses an update if the other task comes between load and store.
struct Counter {
  Shared<int> value;
  int finished = 0;

  void increment() {
    for (int i = 0; i < 10; ++i) value.store(value.load() + 1);
    if (++finished == 2 && value.load() < 20) {
      Scheduler::current()->report(FindingKind::kKernelBug, "counter", "lost update", false);
    }
  }
};

void set_up(Scheduler& scheduler) {
  auto* counter = new Counter();
  for (const char* name : {"a", "b"}) {
    scheduler.spawn(
        name, [](void* c) { static_cast<Counter*>(c)->increment(); }, counter);
  }
}

bool loses(const RunResult& run) { return !run.clean(); }

TEST(Minimize, TurnsAScheduleIntoDeviationsThatGiveTheSameRun) {
  World world(0, set_up);
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    RunOptions options;
    options.seed = seed;
    const RunResult first = world.run(*random, options);
    const auto listed = make_listed(deviations_of(world, first.schedule, options));
    const RunResult& again = world.run(*listed, options);
    EXPECT_EQ(again.digest, first.digest);
    EXPECT_EQ(again.schedule, first.schedule);
  }
}

TEST(Minimize, LeavesOneOrTwoPreemptionsOfALostUpdate) {
  World world(0, set_up);
  const auto random = make_random();
  unsigned minimised = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    RunOptions options;
    options.seed = seed;
    const RunResult found = world.run(*random, options);
    if (found.clean()) continue;
    const MinimizeResult result = minimize(world, found.schedule, options, loses, 10'000);
    EXPECT_TRUE(loses(result.run));
    EXPECT_LE(result.run.preemptions, 2u) << "seed " << seed;  // 1-minimal is not fewest
    EXPECT_LT(result.run.preemptions, found.preemptions);
    ++minimised;
  }
  EXPECT_GT(minimised, 0u);
}

TEST(Minimize, TakesNoDeviationThatCouldGo) {
  World world(0, set_up);
  const auto random = make_random();
  RunOptions options;
  options.seed = 3;
  const RunResult found = world.run(*random, options);
  ASSERT_TRUE(loses(found));
  const MinimizeResult result = minimize(world, found.schedule, options, loses, 10'000);
  for (std::size_t i = 0; i < result.deviations.size(); ++i) {
    std::vector<Deviation> fewer = result.deviations;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    const auto listed = make_listed(fewer);
    EXPECT_FALSE(loses(world.run(*listed, options)));
  }
}

TEST(Minimize, StopsAfterItsRunsWithWhatItHas) {
  World world(0, set_up);
  const auto random = make_random();
  RunOptions options;
  options.seed = 3;
  const RunResult found = world.run(*random, options);
  const MinimizeResult result = minimize(world, found.schedule, options, loses, 5);
  EXPECT_LE(result.tried, 5u);
  EXPECT_TRUE(loses(result.run));
}

TEST(Observed, RunsHaveTheDigestOfUnobservedOnes) {
  class Nothing final : public Observer {
    void event(const Scheduler&, const Task&, const Access&) override {}
    void enter(const Scheduler&, const Task&, const Function&) override {}
    void leave(const Scheduler&, const Task&, const Function&) override {}
    void remark(const Scheduler&, const Task&, std::string_view) override {}
  };
  World world(0, set_up);
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    RunOptions options;
    options.seed = seed;
    const std::uint64_t digest = world.run(*random, options).digest;
    Nothing nothing;
    options.observer = &nothing;
    EXPECT_EQ(world.run(*random, options).digest, digest);
  }
}

}  // namespace
}  // namespace interleaf
