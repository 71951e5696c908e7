// SPDX-License-Identifier: GPL-2.0-only
// DPOR beyond what every explorer is held to: several workers, budgets, and that brute force would
// notice the mistakes that lose classes.
#include "scheduler/search/dpor.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/litmus/brute_force.h"
#include "tests/litmus/buffers.h"
#include "tests/litmus/classics.h"
#include "tests/litmus/counters.h"
#include "tests/litmus/dpor_outcome.h"
#include "tests/litmus/locks.h"
#include "tests/litmus/random_programs.h"
#include "tests/litmus/stack.h"
#include "tests/litmus/statements.h"

namespace interleaf {
namespace {

TEST(Dpor, ComesToTheSameWhateverTheNumberOfWorkers) {
  for (const LitmusProgram& program :
       {cnt(3, 2), lockcnt(2, 6), readers(8), bbuf2(), treiber_stack_aba(),
        statements_program({"l0 l1 u1 u0", "l1 l0 u0 u1", "?3 w0 r0"})}) {
    SCOPED_TRACE(program.name);
    const Outcome one = explore(program, {});
    EXPECT_TRUE(one.result.complete);
    EXPECT_EQ(one.classes.size(), one.result.classes);
    for (const unsigned jobs : {2u, 3u, 5u}) expect_equal(one, explore(program, {.jobs = jobs}));
  }
}

TEST(Dpor, RandomProgramsComeToTheSameWithTwoWorkers) {
  for (const std::string& kind : random_program_kinds()) {
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const LitmusProgram program = statements_program(random_program(kind, seed));
      SCOPED_TRACE(kind + ", seed " + std::to_string(seed) + ": " + program.name);
      expect_equal(explore(program, {.runs_max = 0}), explore(program, {.jobs = 2}));
    }
  }
}

// A forced step of a task that sleeps led to new choices for its values.
TEST(Dpor, LeavesDataChoicesOfRedundantRunsAlone) {
  const LitmusProgram program = statements_program({"i0 i0", "?2 c0 ?2 ?3", "i0 skip0 skip0"});
  const Outcome outcome = explore(program, {});
  EXPECT_EQ(outcome.classes.size(), 90u);
  EXPECT_EQ(outcome.result.classes, 90u);
}

TEST(Dpor, HasOneRunForEveryClassAndFewRedundantOnes) {
  for (const LitmusProgram& program :
       {cnt(3, 2), readers(8), lastzero(8), indexer(13), filesystem(18), lockcnt(3, 3), long3(1)}) {
    const Outcome outcome = explore(program, {});
    EXPECT_EQ(outcome.classes.size(), outcome.result.classes) << program.name;
    EXPECT_LE(10 * outcome.result.redundant, outcome.result.classes) << program.name;
  }
}

TEST(Dpor, SaysWhichBudgetWasSpentAndHowMuchIsDone) {
  const Outcome whole = explore(cnt(2, 5), {});
  EXPECT_FALSE(whole.result.out_of_budget);
  for (const unsigned jobs : {1u, 2u}) {
    const Outcome part = explore(cnt(2, 5), {.jobs = jobs, .runs_max = 10'000});
    EXPECT_TRUE(part.result.out_of_budget);
    EXPECT_FALSE(part.result.complete);
    EXPECT_STREQ(part.result.budget, "runs");
    // 34,904 in all; the weighted share is within a factor of three of the truth (section 6).
    const double share = static_cast<double>(part.result.classes) / 34'904;
    EXPECT_GT(part.result.done, share / 3);
    EXPECT_LT(part.result.done, share * 3);
  }
  std::atomic<bool> interrupted = true;
  DporOptions options;
  options.interrupted = &interrupted;
  EXPECT_STREQ(explore(cnt(2, 5), options).result.budget, "interrupted");
}

TEST(Dpor, IsNotCompleteIfTheStepLimitCutARun) {
  const Outcome outcome = explore(cnt(2, 2), {.run = {.steps_max = 5}});
  EXPECT_GT(outcome.result.cut, 0u);
  EXPECT_FALSE(outcome.result.complete);
}

// How many of the first programs of every kind come out wrong with a defect.
unsigned wrong_with(DporFault fault, unsigned programs_per_kind) {
  unsigned wrong = 0;
  for (const std::string& kind : random_program_kinds()) {
    for (std::uint64_t seed = 0; seed < programs_per_kind; ++seed) {
      const LitmusProgram program = statements_program(random_program(kind, seed));
      BruteForceResult truth;
      worlds_of(program)(0, [&](World& world) { truth = brute_force(world, {.runs_max = 2'000}); });
      if (!truth.complete) continue;
      const Outcome outcome = explore(program, {.fault = fault});
      wrong += outcome.classes != truth.classes_within(~0ull);
    }
  }
  return wrong;
}

TEST(Dpor, EveryKnownMistakeIsNoticedByBruteForce) {
  EXPECT_EQ(wrong_with(DporFault::kNone, 60), 0u);
  EXPECT_GT(wrong_with(DporFault::kLastRaceOnly, 60), 0u);
  EXPECT_GT(wrong_with(DporFault::kPerformedOnly, 60), 0u);
  EXPECT_GT(wrong_with(DporFault::kNoFallback, 60), 0u);
  EXPECT_GT(wrong_with(DporFault::kJoinReleases, 60), 0u);
  EXPECT_GT(wrong_with(DporFault::kCutAtFinding, 60), 0u);
}

}  // namespace
}  // namespace interleaf
