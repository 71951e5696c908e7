// SPDX-License-Identifier: GPL-2.0-only
// The statistics of random runs against values from the literature, from exact sums, and from
// distributions whose missing part is known.
#include "scheduler/search/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "scheduler/prng.h"
#include "scheduler/search/coverage.h"
#include "scheduler/strategies/pct.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

Hash128 hash_of(std::uint64_t number) {
  std::uint64_t state = number;
  return {split_mix(state), 0};
}

TEST(Statistics, PctBoundIsOneMinusOneOverNKToTheDMinusOneToTheRuns) {
  EXPECT_DOUBLE_EQ(pct_miss_bound(2, 100, 1, 1), 0.5);
  EXPECT_DOUBLE_EQ(pct_miss_bound(2, 100, 1, 3), 0.125);
  EXPECT_NEAR(pct_miss_bound(2, 12, 2, 10), std::pow(1 - 1.0 / 24, 10), 1e-12);
  EXPECT_NEAR(pct_miss_bound(5, 1000, 3, 1'000'000), 0.8187307, 1e-6);  // e^-0.2
  EXPECT_DOUBLE_EQ(pct_miss_bound(1, 7, 1, 1), 0);  // one task: there is one order
  EXPECT_DOUBLE_EQ(pct_miss_bound(5, 1000, 3, 0), 1);
  // Hits too small for 1 - p still count.
  EXPECT_NEAR(pct_miss_bound(10, 1000, 6, 10'000'000'000'000'000), std::exp(-1.0), 1e-9);
}

TEST(Statistics, PctRunsNeededAreTheFirstThatMissLessThanFivePercent) {
  EXPECT_DOUBLE_EQ(pct_runs_needed(1, 7, 1), 1);
  EXPECT_DOUBLE_EQ(pct_runs_needed(2, 7, 1), 5);  // 1/32 < 0.05 < 1/16
  for (const unsigned depth : {1u, 2u, 3u}) {
    const auto runs = static_cast<std::uint64_t>(pct_runs_needed(6, 50, depth));
    EXPECT_LE(pct_miss_bound(6, 50, depth, runs), 0.05) << depth;
    EXPECT_GT(pct_miss_bound(6, 50, depth, runs - 1), 0.05) << depth;
    EXPECT_NEAR(static_cast<double>(runs), 3 * 6 * std::pow(50, depth - 1),
                0.01 * 3 * 6 * std::pow(50, depth - 1) + 1);
  }
  EXPECT_GT(pct_runs_needed(40, 1'000'000, 32), 1e180);
}

TEST(Statistics, NothingInNRunsBoundsTheRateByAboutThreeOverN) {
  EXPECT_DOUBLE_EQ(unseen_rate_bound(0), 1);
  EXPECT_NEAR(unseen_rate_bound(1), 0.95, 1e-12);
  EXPECT_NEAR(unseen_rate_bound(58), 0.0503, 1e-4);
  EXPECT_NEAR(unseen_rate_bound(59), 0.0495, 1e-4);  // the rule of 59
  EXPECT_NEAR(unseen_rate_bound(1'000'000) * 1e6, 2.9957, 1e-3);
}

TEST(Statistics, WilsonIntervalsAreThoseOfTheLiterature) {
  // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
  const Interval many = wilson_interval(81, 263), some = wilson_interval(15, 148);
  EXPECT_NEAR(many.low, 0.2553, 5e-5);
  EXPECT_NEAR(many.high, 0.3662, 5e-5);
  EXPECT_NEAR(some.low, 0.0624, 5e-5);
  EXPECT_NEAR(some.high, 0.1605, 5e-5);
  EXPECT_DOUBLE_EQ(wilson_interval(0, 20).low, 0);
  EXPECT_NEAR(wilson_interval(0, 20).high, 0.1611, 5e-5);
  EXPECT_NEAR(wilson_interval(1, 29).low, 0.0061, 5e-5);
  EXPECT_NEAR(wilson_interval(1, 29).high, 0.1718, 5e-5);
  EXPECT_DOUBLE_EQ(wilson_interval(29, 29).high, 1);
  EXPECT_DOUBLE_EQ(wilson_interval(0, 0).high, 1);
}

TEST(Statistics, AFirstHitAtRunNLeavesTheTailsOfTheGeometricDistribution) {
  for (const std::uint64_t runs : {1u, 2u, 17u, 5000u}) {
    const Interval p = first_hit_interval(runs);
    const auto n = static_cast<double>(runs);
    EXPECT_NEAR(1 - std::pow(1 - p.low, n), 0.025, 1e-9) << runs;
    EXPECT_NEAR(std::pow(1 - p.high, n - 1), runs == 1 ? 1 : 0.025, 1e-9) << runs;
  }
  EXPECT_DOUBLE_EQ(first_hit_interval(1).high, 1);
}

TEST(ClassCounts, CountClassesThoseSeenOnceAndThoseSeenTwice) {
  ClassCounts counts;
  EXPECT_EQ(counts.new_lately(), 0u);
  for (const std::uint64_t number : {1, 2, 3, 1, 2, 1, 1, 4}) counts.add(hash_of(number));
  EXPECT_EQ(counts.runs(), 8u);
  EXPECT_EQ(counts.classes(), 4u);
  EXPECT_EQ(counts.seen_once(), 2u);   // 3, 4
  EXPECT_EQ(counts.seen_twice(), 1u);  // 2
  EXPECT_EQ(counts.last_new(), 8u);
  EXPECT_EQ(counts.new_lately(), 4u);
  EXPECT_FALSE(counts.full());
}

TEST(ClassCounts, TellsWhatWasNewInTheLastThousandRuns) {
  ClassCounts counts;
  for (std::uint64_t run = 0; run < 5000; ++run) counts.add(hash_of(run < 4300 ? run : 7));
  EXPECT_EQ(counts.new_lately(), 300u);
  EXPECT_EQ(counts.last_new(), 4300u);
}

TEST(ClassCounts, StopsCountingWhenItIsFull) {
  ClassCounts counts(100);
  for (std::uint64_t run = 0; run < 1000; ++run) counts.add(hash_of(run));
  EXPECT_TRUE(counts.full());
  EXPECT_EQ(counts.runs(), 100u);
  EXPECT_EQ(counts.classes(), 100u);
  counts.add(hash_of(5));
  EXPECT_EQ(counts.runs(), 100u);
}

TEST(Statistics, GoodTuringAndChaoOfSmallCounts) {
  EXPECT_DOUBLE_EQ(next_new_estimate(0, 0), 1);
  EXPECT_DOUBLE_EQ(next_new_estimate(3, 12), 0.25);
  EXPECT_DOUBLE_EQ(unseen_classes(10, 5), 10);
  EXPECT_DOUBLE_EQ(unseen_classes(10, 0), 45);
  EXPECT_DOUBLE_EQ(unseen_classes(1, 0), 0);
  EXPECT_DOUBLE_EQ(unseen_classes(0, 0), 0);
  EXPECT_GT(next_new_interval(0, 0, 100).high, 0.03);
  EXPECT_DOUBLE_EQ(next_new_interval(0, 0, 100).low, 0);
  EXPECT_DOUBLE_EQ(next_new_interval(100, 0, 100).high, 1);
}

// Draws from 1000 classes, class i with a weight of 1 / (i + 1): what is missing is known.
TEST(Statistics, EstimatesCoverTheTruthOfAKnownDistribution) {
  constexpr std::uint32_t kClasses = 1000;
  std::vector<std::uint64_t> upto;
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < kClasses; ++i) upto.push_back(total += 1'000'000 / (i + 1));
  unsigned covered = 0, bounded = 0;
  constexpr unsigned kTrials = 200;
  for (unsigned trial = 0; trial < kTrials; ++trial) {
    Prng prng(trial);
    ClassCounts counts;
    std::vector<bool> seen(kClasses);
    for (unsigned run = 0; run < 2000; ++run) {
      const std::uint64_t drawn = prng.below(static_cast<std::uint32_t>(total));
      const auto at = static_cast<std::size_t>(std::upper_bound(upto.begin(), upto.end(), drawn) -
                                               upto.begin());
      seen[at] = true;
      counts.add(hash_of(at));
    }
    std::uint64_t missing = 0, unseen = 0;
    for (std::uint32_t i = 0; i < kClasses; ++i) {
      if (seen[i]) continue;
      ++unseen;
      missing += upto[i] - (i == 0 ? 0 : upto[i - 1]);
    }
    const double truth = static_cast<double>(missing) / static_cast<double>(total);
    const Interval range =
        next_new_interval(counts.seen_once(), counts.seen_twice(), counts.runs());
    covered += range.low <= truth && truth <= range.high ? 1 : 0;
    const double chao = unseen_classes(counts.seen_once(), counts.seen_twice());
    bounded += chao <= 1.15 * static_cast<double>(unseen) ? 1 : 0;
    EXPECT_EQ(counts.classes() + unseen, kClasses);
  }
  EXPECT_GE(covered, kTrials * 93 / 100);
  EXPECT_GE(bounded, kTrials * 95 / 100);
}

struct Writers {
  Shared<int> word;
  explicit Writers(Scheduler& s) {
    for (const char* name : {"a", "b", "c"}) {
      add_task(s, name, this, [](Writers& p) { p.word.store(1); });
    }
  }
};

TEST(Statistics, RunsOfThreeWritersShowAllSixOrdersAndThenNothingNew) {
  Program<Writers> p;
  const auto random = make_random();
  Coverage coverage(false);
  const auto watched = watch(*random, coverage);
  ClassCounts counts;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    p.run(*watched, {.seed = seed});
    counts.add(coverage.end_run().order);
  }
  EXPECT_EQ(counts.classes(), 6u);
  EXPECT_EQ(counts.seen_once(), 0u);
  EXPECT_EQ(coverage.classes(), 0u);  // it was not to count them
  EXPECT_EQ(coverage.handoffs(), 1u);
}

TEST(Coverage, NamesTheHandoffsThatTheLastRunWasTheFirstToHave) {
  Program<Writers> p;
  const auto random = make_random();
  Coverage coverage;
  const auto watched = watch(*random, coverage);
  p.run(*watched, {.seed = 1});
  EXPECT_EQ(coverage.end_run().new_handoffs, 1u);
  ASSERT_EQ(coverage.new_handoffs().size(), 1u);
  EXPECT_EQ(coverage.new_handoffs()[0], coverage.handoff_set()[0]);
  p.run(*watched, {.seed = 2});
  coverage.end_run();
  EXPECT_TRUE(coverage.new_handoffs().empty());
}

struct Poller {
  Shared<int> ready;
  explicit Poller(Scheduler& s) {
    add_task(s, "poll", this, [](Poller& p) {
      while (p.ready.load() == 0) Scheduler::current()->relax();
    });
    add_task(s, "work", this, [](Poller& p) {
      for (int i = 0; i < 5; ++i) p.ready.store(i == 4 ? 1 : 0);
    });
  }
};

PctRun pct_run_of(const Strategy& strategy) {
  return *dynamic_cast<const PctSource&>(strategy).pct_run();
}

TEST(PctSource, TellsDepthAndDecisionsOfTheLastRun) {
  const auto pct = make_pct(3, 77);
  Program<Writers> p;
  p.run(*pct, {.seed = 5});
  const PctRun run = pct_run_of(*pct);
  EXPECT_EQ(run.depth, 3u);
  EXPECT_EQ(run.decisions_assumed, 77u);
  EXPECT_EQ(run.decisions, 2u);
  EXPECT_FALSE(run.bent);
}

TEST(PctSource, TellsWhetherATaskPolled) {
  const auto pct = make_pct(3, 77);
  Program<Poller> p;
  unsigned bent = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    p.run(*pct, {.seed = seed});
    bent += pct_run_of(*pct).bent ? 1 : 0;
  }
  EXPECT_GT(bent, 0u);
  EXPECT_LT(bent, 40u);  // the worker may have gone first
}

}  // namespace
}  // namespace interleaf
