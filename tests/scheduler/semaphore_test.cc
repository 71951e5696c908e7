// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/semaphore.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scheduler/sync/completion.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

struct Guarded {
  Semaphore semaphore{"places", 2};
  Shared<int> touched;
  int inside = 0, inside_max = 0;

  explicit Guarded(Scheduler& s) {
    for (const char* name : {"a", "b", "c", "d"}) {
      add_task(s, name, this, [](Guarded& g) {
        g.semaphore.down();
        g.inside_max = std::max(g.inside_max, ++g.inside);
        g.touched.load();
        --g.inside;
        g.semaphore.up();
      });
    }
  }
};
TEST(Semaphore, AdmitsAsManyAsItCounts) {
  Program<Guarded> p;
  int max = 0;
  p.expect_clean(2000, [&](const RunResult&) {
    EXPECT_LE(p.state().inside_max, 2);
    EXPECT_EQ(p.state().semaphore.peek_count(), 2u);
    max = std::max(max, p.state().inside_max);
  });
  EXPECT_EQ(max, 2);
}

// The main task lets the others queue one after another, then gives the place away.
struct Queued {
  Semaphore semaphore{"the place", 0};
  Completion second{"second"}, both{"both"};
  std::string order;

  explicit Queued(Scheduler& s) {
    order.reserve(8);
    add_task(s, "first", this, [](Queued& q) {
      q.second.complete();
      q.semaphore.down();
      q.order += '1';
      q.semaphore.up();
    });
    add_task(s, "second", this, [](Queued& q) {
      q.second.wait();
      q.both.complete();
      q.semaphore.down();
      q.order += '2';
    });
    add_task(s, "giver", this, [](Queued& q) {
      q.both.wait();
      q.semaphore.up();
    });
  }
};
TEST(Semaphore, ServesInTheOrderOfArrival) {
  Program<Queued> p;
  const RunResult& straight = p.run_straight();
  EXPECT_TRUE(straight.clean()) << text_of(straight);
  EXPECT_EQ(p.state().order, "12");
}

struct Trying {
  Semaphore semaphore{"the place", 1};
  bool first = false, again = true, after = false;

  explicit Trying(Scheduler& s) {
    add_task(s, "one", this, [](Trying& t) {
      t.first = t.semaphore.down_trylock();
      t.again = t.semaphore.down_trylock();
      t.semaphore.up();
      t.after = t.semaphore.down_trylock();
    });
  }
};
TEST(Semaphore, TryTakesAPlaceOrFails) {
  Program<Trying> p;
  EXPECT_TRUE(p.run_straight().clean());
  EXPECT_TRUE(p.state().first);
  EXPECT_FALSE(p.state().again);
  EXPECT_TRUE(p.state().after);
}

struct Hanging {
  Semaphore semaphore{"the place", 1};
  explicit Hanging(Scheduler& s) {
    for (const char* name : {"a", "b"}) {
      add_task(s, name, this, [](Hanging& h) { h.semaphore.down(); });
    }
  }
};
TEST(Semaphore, WithoutUpHangsWhoComesSecond) {
  Program<Hanging> p;
  const RunResult& result = p.run_straight();
  EXPECT_EQ(result.end, RunEnd::kDeadlock);
  EXPECT_EQ(result.findings[0].signature(), "deadlock::the place");
  EXPECT_EQ(result.findings[0].details[0], "b waits for the place since step 2");
}

}  // namespace
}  // namespace interleaf
