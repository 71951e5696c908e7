// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/wait_queue.h"

#include <gtest/gtest.h>

#include <string>

#include "scheduler/search/bounded.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

struct Flag {
  WaitQueue queue{"the flag"};
  Shared<int> flag;
  explicit Flag(Scheduler& s) {
    for (const char* name : {"w1", "w2"}) {
      add_task(s, name, this, [](Flag& f) {
        f.queue.wait_event([&] { return f.flag.read_once() != 0; });
        CHECK(f.flag.peek() != 0);
      });
    }
    add_task(s, "waker", this, [](Flag& f) {
      f.flag.write_once(1);
      f.queue.wake_up();
    });
  }
};
TEST(WaitQueue, LosesNoWakeUp) {
  Program<Flag> p;
  p.expect_clean(2000, [](const RunResult&) {});
}

// The condition is looked at before prepare_to_wait only.
struct Careless {
  WaitQueue queue{"the flag"};
  Shared<int> flag;
  explicit Careless(Scheduler& s) {
    add_task(s, "waiter", this, [](Careless& c) {
      if (c.flag.read_once() != 0) return;
      c.queue.prepare_to_wait();
      c.queue.schedule();
      c.queue.finish_wait();
    });
    add_task(s, "waker", this, [](Careless& c) {
      c.flag.write_once(1);
      c.queue.wake_up();
    });
  }
};
TEST(WaitQueue, SleepsForEverIfTheConditionIsLookedAtTooEarly) {
  Program<Careless> p;
  int hung = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const RunResult& result = p.run_random(seed);
    if (result.clean()) continue;
    EXPECT_EQ(result.findings[0].signature(), "deadlock::the flag");
    ++hung;
  }
  EXPECT_GT(hung, 0);
}

// Waiters queue up in the order of the tasks, then one wake-up; a letter per task that went on,
// in the order of the tasks, capital if it was exclusive.
struct Line {
  WaitQueue queue{"the line"};
  unsigned exclusive_max = 0;
  char order[8] = "-----";

  template <int kPlace, bool kExclusive>
  static void waiter(Line& l) {
    l.queue.prepare_to_wait(kExclusive);
    l.queue.schedule();
    l.order[kPlace] = static_cast<char>((kExclusive ? 'A' : 'a') + kPlace);
    l.queue.finish_wait();
  }
  explicit Line(Scheduler& s) {
    add_task(
        s, "0", this, [](Line& l) { waiter<0, true>(l); }, true);
    add_task(
        s, "1", this, [](Line& l) { waiter<1, true>(l); }, true);
    add_task(
        s, "2", this, [](Line& l) { waiter<2, false>(l); }, true);
    add_task(
        s, "3", this, [](Line& l) { waiter<3, true>(l); }, true);
    add_task(
        s, "4", this, [](Line& l) { waiter<4, false>(l); }, true);
    add_task(s, "waker", this, [](Line& l) {
      l.queue.wake_up(l.exclusive_max);
      for (int i = 0; i < 20; ++i) Scheduler::current()->relax();
    });
  }
};
template <unsigned kMax>
struct LineWith : Line {
  explicit LineWith(Scheduler& s) : Line(s) { exclusive_max = kMax; }
};
template <unsigned kMax>
std::string woken() {
  Program<LineWith<kMax>> p;
  // They queue up in order and all sleep before the waker comes.
  p.run_straight();
  return p.state().order;
}
TEST(WaitQueue, WakesAllNonExclusiveWaitersAlsoBehindExclusiveOnes) {
  EXPECT_EQ(woken<0>(), "--c-e");
  EXPECT_EQ(woken<1>(), "A-c-e");
  EXPECT_EQ(woken<2>(), "ABc-e");
  EXPECT_EQ(woken<kTasksMax>(), "ABcDe");
}

// An exclusive waiter leaves without its wake-up when it finds the condition true.
struct Leaving {
  WaitQueue queue{"the slot"};
  Atomic<int> slots;
  explicit Leaving(Scheduler& s) {
    for (const char* name : {"a", "b"}) {
      add_task(s, name, this, [](Leaving& l) {
        for (;;) {
          l.queue.prepare_to_wait(true);
          if (l.slots.add_unless(-1, 0)) break;
          l.queue.schedule();
        }
        l.queue.finish_wait();
      });
    }
    add_task(s, "giver", this, [](Leaving& l) {
      for (int i = 0; i < 2; ++i) {
        l.slots.inc();
        l.queue.wake_up_all();
      }
    });
  }
};
TEST(WaitQueue, FinishWaitLeavesTheQueueWithoutAWakeUp) {
  Program<Leaving> p;
  p.expect_clean(1000, [&](const RunResult&) { EXPECT_EQ(p.state().slots.peek(), 0); });
}

struct FinishedEarly {
  WaitQueue queue{"the flag"};
  Shared<int> flag{1};
  explicit FinishedEarly(Scheduler& s) {
    add_task(s, "waiter", this,
             [](FinishedEarly& f) { f.queue.wait_event([&] { return f.flag.read_once() == 2; }); });
    add_task(s, "waker", this, [](FinishedEarly& f) {
      f.flag.write_once(2);
      f.queue.wake_up();
    });
  }
};
// It once looked at the queue without a point: a wake-up before or after the last look at the flag
// made a difference that no order of accesses told.
TEST(WaitQueue, FinishIsAPointWhetherOrNotAWakeUpCameFirst) {
  Program<FinishedEarly> p;
  const BoundedResult result = explore_bounded(
      p.world(), {.preemptions_max = BoundedOptions::kUnbounded, .verify_cache = true});
  EXPECT_EQ(result.hidden_dependence, "");
  EXPECT_TRUE(result.exhausted);
}

}  // namespace
}  // namespace interleaf
