// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/awaitable.h"

#include <gtest/gtest.h>

#include "tests/litmus/brute_force.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

struct Passing {
  Awaitable<int> value{"the value"};
  int seen = 0;
  explicit Passing(Scheduler& s) {
    add_task(s, "waiter", this,
             [](Passing& p) { p.seen = p.value.cond_load([](int v) { return v >= 2; }); });
    add_task(s, "setter", this, [](Passing& p) {
      for (int i = 1; i <= 3; ++i) p.value.set(i);
    });
  }
};
TEST(Awaitable, IsLoadedOnceItSatisfiesTheCondition) {
  Program<Passing> p;
  p.expect_clean(100, [&](const RunResult& result) {
    EXPECT_TRUE(p.state().seen == 2 || p.state().seen == 3);
    EXPECT_EQ(result.steps, 4u);
  });
}

// The value is right for a moment only: whether the waiter comes in time is a matter of order.
struct Fleeting {
  Awaitable<int> value{"the value"};
  explicit Fleeting(Scheduler& s) {
    add_task(s, "waiter", this,
             [](Fleeting& f) { f.value.cond_load([](int v) { return v == 1; }); });
    add_task(s, "setter", this, [](Fleeting& f) {
      f.value.set(1);
      f.value.set(2);
    });
  }
};
TEST(Awaitable, ThatIsRightForAMomentCanBeMissed) {
  Program<Fleeting> p;
  const BruteForceResult result = brute_force(p.world());
  EXPECT_EQ(result.interleavings, 2u);
  EXPECT_EQ(result.classes.size(), 2u);
  EXPECT_EQ(result.signatures.count("deadlock::the value"), 1u);
}

}  // namespace
}  // namespace interleaf
