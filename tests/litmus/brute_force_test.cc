// SPDX-License-Identifier: GPL-2.0-only
// The judge is judged: by numbers that can be counted by hand.
#include "tests/litmus/brute_force.h"

#include <gtest/gtest.h>

#include "tests/litmus/statements.h"

namespace interleaf {
namespace {

BruteForceResult judge(const StatementTexts& texts, std::uint64_t runs_max = 60'000) {
  World world(0, statements_program(texts).setup);
  return brute_force(world, {.runs_max = runs_max});
}

TEST(BruteForce, CountsEveryInterleavingOfIndependentTasks) {
  // 6! / (2! 2! 2!) interleavings of one order.
  const BruteForceResult result = judge({"r0 r0", "w1 w1", "w2 w2"});
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.interleavings, 90u);
  EXPECT_EQ(result.classes.size(), 1u);
  EXPECT_EQ(result.hash_error, "");
}

TEST(BruteForce, TriesEveryValueOfADataChoice) {
  const BruteForceResult result = judge({"?3 ?2"});
  EXPECT_EQ(result.interleavings, 6u);
  EXPECT_EQ(result.classes.size(), 6u);
}

TEST(BruteForce, KnowsTheFewestPreemptionsThatAFindingNeeds) {
  const BruteForceResult result = judge({"i0 i0 r0 !0", "st0"});
  EXPECT_EQ(result.signatures, (std::map<std::string, std::uint64_t>{{"kernel-bug::two", 0}}));
  const BruteForceResult needs_one = judge({"w0 r0 !0", "i0"});
  EXPECT_EQ(needs_one.signatures, (std::map<std::string, std::uint64_t>{{"kernel-bug::two", 1}}));
  EXPECT_TRUE(needs_one.signatures_within(0).empty());
}

TEST(BruteForce, DoesNotCallItCompleteWhenTheLimitStoppedIt) {
  const BruteForceResult result = judge({"i0 i0", "i0 i0"}, 5);
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.interleavings, 5u);
  EXPECT_TRUE(judge({"i0 i0", "i0 i0"}, 6).complete);
}

}  // namespace
}  // namespace interleaf
