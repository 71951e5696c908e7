// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/thread.h"

#include <gtest/gtest.h>

#include "scheduler/search/bounded.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

// A State whose member `thread` runs State::child.
template <typename State>
void (*child_of(State*))(void*) {
  return [](void* p) { static_cast<State*>(p)->child(); };
}

struct Family {
  Shared<int> before, during;
  int seen_by_child = -1, seen_by_parent = -1;
  Thread thread;

  explicit Family(Scheduler& s) : thread(s, "child", child_of(this), this) {
    add_task(s, "parent", this, [](Family& f) {
      f.before.store(1);
      f.thread.start();
      f.thread.join();
      f.seen_by_parent = f.during.load();
    });
  }
  void child() {
    seen_by_child = before.load();
    during.store(1);
  }
};
TEST(Thread, RunsAfterItsStartAndBeforeItsJoin) {
  Program<Family> p;
  p.expect_clean(500, [&](const RunResult&) {
    EXPECT_EQ(p.state().seen_by_child, 1);
    EXPECT_EQ(p.state().seen_by_parent, 1);
  });
}

TEST(Thread, StartAndJoinLeaveOneOrder) {
  Program<Family> p;
  const BoundedResult result =
      explore_bounded(p.world(), {.preemptions_max = BoundedOptions::kUnbounded});
  EXPECT_TRUE(result.exhausted);
  EXPECT_EQ(result.classes, 1u);
}

struct Unstarted {
  Shared<int> word;
  Thread thread;
  explicit Unstarted(Scheduler& s) : thread(s, "child", child_of(this), this) {
    add_task(s, "parent", this, [](Unstarted& u) { u.word.store(1); });
  }
  void child() { word.store(2); }
};
TEST(Thread, ThatIsNotStartedDoesNothingAndHoldsNothingUp) {
  Program<Unstarted> p;
  p.expect_clean(20, [&](const RunResult& result) {
    EXPECT_EQ(p.state().word.peek(), 1);
    EXPECT_EQ(result.steps, 1u);
  });
}

struct Outliving {
  Shared<int> word;
  Thread thread;
  explicit Outliving(Scheduler& s) : thread(s, "child", child_of(this), this) {
    add_task(s, "parent", this, [](Outliving& o) { o.thread.start(); });
  }
  void child() { word.store(2); }
};
TEST(Thread, ThatWasStartedIsAwaitedByTheRun) {
  Program<Outliving> p;
  p.expect_clean(20, [&](const RunResult&) { EXPECT_EQ(p.state().word.peek(), 2); });
}

struct JoinedOnly {
  Thread thread;
  explicit JoinedOnly(Scheduler& s) : thread(s, "child", child_of(this), this) {
    add_task(s, "parent", this, [](JoinedOnly& j) { j.thread.join(); });
  }
  void child() {}
};
TEST(Thread, JoinOfOneThatNobodyStartsHangs) {
  Program<JoinedOnly> p;
  EXPECT_EQ(text_of(p.run_straight()),
            "deadlock::the end of a thread @0 parent\n"
            "  no task can go on\n"
            "  - parent waits for the end of a thread since step 0\n");
}

struct StartedTwice {
  Thread thread;
  explicit StartedTwice(Scheduler& s) : thread(s, "child", child_of(this), this) {
    add_task(s, "parent", this, [](StartedTwice& t) {
      t.thread.start();
      t.thread.start();
    });
  }
  void child() {}
};
TEST(Thread, CannotBeStartedTwice) {
  Program<StartedTwice> p;
  EXPECT_EQ(p.run_straight().findings[0].signature(), "kernel-bug::thread");
}

}  // namespace
}  // namespace interleaf
