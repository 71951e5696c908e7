// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/estimate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/bounded_programs.h"

namespace interleaf {
namespace {

double schedules(const Letters& texts, unsigned preemptions) {
  World world(0, letter_program(texts));
  return std::pow(10, estimate_schedules(world, {}, preemptions, 4'000).log10);
}

TEST(Estimate, CountsTheInterleavings) {
  constexpr unsigned kAny = ScheduleEstimate::kAny;
  EXPECT_NEAR(schedules({"w", "w", "w"}, kAny), 6, 0.001);  // every walk has the same weight
  EXPECT_NEAR(schedules({"rwrw", "rwrw"}, kAny), 70, 4);
  EXPECT_NEAR(schedules({"rw", "rw", "rw"}, kAny), 90, 5);
  EXPECT_NEAR(schedules({"lu", "lu"}, kAny), 2, 0.001);
  EXPECT_NEAR(schedules({"cc", "w"}, kAny), 12, 1);
}

TEST(Estimate, CountsThoseWithFewPreemptions) {
  // Two tasks of four: one begins; then a task may stop after 1, 2 or 3.
  EXPECT_NEAR(schedules({"rwrw", "rwrw"}, 0), 2, 0.001);
  EXPECT_NEAR(schedules({"rwrw", "rwrw"}, 1), 8, 0.6);
}

TEST(Estimate, GoesBeyondWhatADoubleHolds) {
  const std::string many(300, 'r');
  World world(0, letter_program({many, many, many, many}));
  const ScheduleEstimate estimate = estimate_schedules(world, {}, ScheduleEstimate::kAny, 50);
  EXPECT_GT(estimate.log10, 600);
  EXPECT_LT(estimate.log10, 1200 * std::log10(4));
}

TEST(Estimate, SaysHowManyWalksWereCut) {
  World world(0, letter_program({"rwrw", "rwrw"}));
  RunOptions options;
  options.steps_max = 5;
  EXPECT_EQ(estimate_schedules(world, options, ScheduleEstimate::kAny, 10).cut, 10u);
}

}  // namespace
}  // namespace interleaf
