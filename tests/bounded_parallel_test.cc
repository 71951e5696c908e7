// SPDX-License-Identifier: GPL-2.0-only
// What a bounded search reports must not depend on the number of its workers, on timing, or on
// snapshots.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>

#include "scheduler/search/normal_form.h"
#include "tests/bounded_programs.h"

namespace interleaf {
namespace {

BoundedOptions up_to(unsigned preemptions) {
  BoundedOptions options;
  options.preemptions_max = preemptions;
  options.snapshot_steps = 2;
  options.sample_max = 8;
  return options;
}

std::string name_of(const Letters& texts) {
  std::string name;
  for (const std::string& text : texts) name += text + " | ";
  return name;
}

TEST(BoundedJobs, DoNotChangeTheResultOfRandomPrograms) {
  Prng prng(77);
  unsigned with_findings = 0;
  for (unsigned i = 0; i < 60; ++i) {
    const Letters texts = random_letters(prng, 6);
    SCOPED_TRACE(name_of(texts));
    BoundedOptions options = up_to(i % 4);
    options.stop_at_first = i % 3 == 0;
    if (i % 5 == 0) {
      options.known = [](const std::string& s) { return s.starts_with("lock-order"); };
    }
    const BoundedResult one = explore_bounded(worlds_of(texts), options);
    with_findings += !one.findings.empty();
    options.snapshots = false;
    ASSERT_EQ(text_of(explore_bounded(worlds_of(texts), options)), text_of(one));
    for (const unsigned jobs : {2u, 5u}) {
      options.jobs = jobs;
      options.snapshots = jobs == 2;
      ASSERT_EQ(text_of(explore_bounded(worlds_of(texts), options)), text_of(one)) << jobs;
    }
  }
  EXPECT_GT(with_findings, 20u);
}

TEST(BoundedJobs, SeeTheSameOrders) {
  const Letters texts = {"rwrwrw", "rwrwrw", "riRI"};
  std::map<unsigned, std::set<Hash128>> orders;
  for (const unsigned jobs : {1u, 3u}) {
    BoundedOptions options = up_to(3);
    options.jobs = jobs;
    std::mutex mutex;
    std::uint64_t calls = 0;
    options.on_new_class = [&](World&, const RunResult&, const Hash128& order) {
      const std::lock_guard lock(mutex);
      ++calls;
      orders[jobs].insert(order);
    };
    const BoundedResult result = explore_bounded(worlds_of(texts), options);
    EXPECT_EQ(calls, orders[jobs].size());
    EXPECT_EQ(result.classes, calls);
  }
  EXPECT_EQ(orders[1], orders[3]);
  EXPECT_GT(orders[1].size(), 1'000u);
}

TEST(BoundedJobs, HaveTheNumbersOfOtherCheckers) {
  BoundedOptions options = up_to(BoundedOptions::kUnbounded);
  options.snapshot_steps = 16;
  options.jobs = 4;
  const BoundedResult result = explore_bounded(worlds_of({"rwrwrwrwrw", "rwrwrwrwrw"}), options);
  EXPECT_TRUE(result.exhausted);
  EXPECT_EQ(result.classes, 34'904u);
}

TEST(BoundedJobs, AgreeOnWhereASearchForOneFindingEnds) {
  // The third task is noise, so that the level with the finding is a big one.
  const Letters texts = {"rwrwr!", "iRWRWi", "RWRWRWRW"};
  BoundedOptions options = up_to(3);
  options.stop_at_first = true;
  const BoundedResult one = explore_bounded(worlds_of(texts), options);
  ASSERT_EQ(one.findings.size(), 1u);
  EXPECT_GE(one.findings[0].preemptions, 1u);
  EXPECT_EQ(one.complete_up_to + 1, static_cast<int>(one.findings[0].preemptions));
  EXPECT_FALSE(one.complete);
  for (const unsigned jobs : {2u, 3u, 8u}) {
    options.jobs = jobs;
    EXPECT_EQ(text_of(explore_bounded(worlds_of(texts), options)), text_of(one)) << jobs;
  }
}

TEST(BoundedJobs, EndASearchForOneFindingBeforeItsLevelIsDone) {
  const Letters texts = {"ririri!", "iRIRIi", "RIRIRIRI"};
  BoundedOptions options = up_to(3);
  options.stop_at_first = true;
  options.known = [](const std::string&) { return false; };
  const BoundedResult first = explore_bounded(worlds_of(texts), options);
  options.stop_at_first = false;
  const BoundedResult all = explore_bounded(worlds_of(texts), options);
  ASSERT_FALSE(first.findings.empty() || all.findings.empty());
  EXPECT_EQ(first.findings[0].preemptions, all.findings[0].preemptions);
  EXPECT_LT(first.runs, all.runs);
}

TEST(BoundedJobs, PassOnWhatACallbackThrows) {
  for (const unsigned jobs : {1u, 4u}) {
    BoundedOptions options = up_to(2);
    options.jobs = jobs;
    std::atomic<unsigned> calls = 0;
    options.on_new_class = [&](World&, const RunResult&, const Hash128&) {
      if (++calls == 20) throw std::runtime_error("enough");
    };
    EXPECT_THROW(explore_bounded(worlds_of({"rwrw", "rwrw", "rwrw"}), options), std::runtime_error);
  }
}

TEST(BoundedJobs, PassOnThatAWorldCannotBeMade) {
  BoundedOptions options = up_to(2);
  options.jobs = 3;
  const WithWorld with_world = [](unsigned slot, const std::function<void(World&)>& work) {
    if (slot == 2) throw std::runtime_error("no slot 2");
    World world(slot, letter_program({"rw", "rw"}));
    work(world);
  };
  EXPECT_THROW(explore_bounded(with_world, options), std::runtime_error);
}

TEST(BoundedJobs, StopAtTheirBudgets) {
  const Letters texts = {"rwrwrwrw", "rwrwrwrw", "rwrwrwrw"};
  BoundedOptions options = up_to(6);
  options.jobs = 3;
  options.memory_max = 400'000;
  const BoundedResult memory = explore_bounded(worlds_of(texts), options);
  EXPECT_STREQ(memory.budget, "memory");
  EXPECT_FALSE(memory.complete);
  EXPECT_TRUE(memory.out_of_budget);
  options.memory_max = 0;
  options.runs_max = 5'000;
  const BoundedResult runs = explore_bounded(worlds_of(texts), options);
  EXPECT_STREQ(runs.budget, "runs");
  EXPECT_LT(runs.runs + runs.pruned, 5'010u);
  const std::atomic<bool> interrupted = true;
  options.interrupted = &interrupted;
  EXPECT_STREQ(explore_bounded(worlds_of(texts), options).budget, "interrupted");
}

TEST(BoundedEstimate, IsARangeThatHoldsTheTruth) {
  const Letters texts = {"rwrwrw", "rwrwrw", "rwrw"};
  BoundedOptions options = up_to(3);
  const BoundedResult whole = explore_bounded(worlds_of(texts), options);
  ASSERT_TRUE(whole.complete);
  const std::uint64_t before = whole.levels[0].runs + whole.levels[0].pruned +
                               whole.levels[1].runs + whole.levels[1].pruned +
                               whole.levels[2].runs + whole.levels[2].pruned;
  const std::uint64_t last = whole.levels[3].runs + whole.levels[3].pruned;
  unsigned held = 0;
  for (const unsigned percent : {30u, 50u, 70u, 90u}) {
    options.runs_max = before + last * percent / 100;
    const BoundedResult part = explore_bounded(worlds_of(texts), options);
    ASSERT_TRUE(part.estimate.known);
    EXPECT_EQ(part.complete_up_to, 2);
    EXPECT_LE(part.estimate.orders_least, part.estimate.orders_most);
    const auto truth = static_cast<double>(whole.classes);
    held += part.estimate.orders_least <= truth && truth <= part.estimate.orders_most;
  }
  EXPECT_GE(held, 3u);
}

// Every run of an order leads to the same normal form, with no more preemptions.
TEST(NormalForm, IsOneForAllRunsOfAnOrder) {
  Prng prng(5);
  unsigned shared = 0;
  for (unsigned i = 0; i < 12; ++i) {
    const Letters texts = random_letters(prng, 5);
    SCOPED_TRACE(name_of(texts));
    World world(0, letter_program(texts));
    std::map<Hash128, std::vector<Schedule>> runs;
    BoundedOptions options = up_to(2);
    options.ended = [&](const RunResult& run, const Hash128& order) {
      runs[order].push_back(run.schedule);
    };
    explore_bounded(world, options);
    unsigned looked_at = 0;
    for (const auto& [order, schedules] : runs) {
      if (schedules.size() < 2 || ++looked_at > 20) continue;
      ++shared;
      std::set<Schedule> forms;
      for (const Schedule& schedule : schedules) {
        const auto any = [](const RunResult&) { return true; };
        forms.insert(normal_form(world, {}, schedule, 2, any));
      }
      ASSERT_EQ(forms.size(), 1u);
      EXPECT_LE(world.run(*make_replay(*forms.begin()), {}).preemptions, 2u);
    }
  }
  EXPECT_GT(shared, 30u);
}

}  // namespace
}  // namespace interleaf
