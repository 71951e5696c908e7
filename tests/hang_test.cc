// SPDX-License-Identifier: GPL-2.0-only
// Deadlock, livelock, lock order.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/user_count.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kA{"A"}, kB{"B"}, kC{"C"}, kD{"D"}, kE{"E"};

struct Crossing {
  Mutex a{kA}, b{kB};
  static void ab(Crossing& c) {
    FRAME(ab);
    c.a.lock();
    c.b.lock();
    c.b.unlock();
    c.a.unlock();
  }
  static void ba(Crossing& c) {
    FRAME(ba);
    c.b.lock();
    c.a.lock();
    c.a.unlock();
    c.b.unlock();
  }
  explicit Crossing(Scheduler& s) {
    add_task(s, "one", this, [](Crossing& c) { ab(c); });
    add_task(s, "two", this, [](Crossing& c) { ba(c); });
  }
};
TEST(Deadlock, IsReportedWithItsCycle) {
  Program<Crossing> p;
  const auto alternate = make_round_robin();
  const RunResult& result = p.run(*alternate);
  EXPECT_EQ(result.end, RunEnd::kDeadlock);
  ASSERT_EQ(result.findings.size(), 2u);  // first the inversion that leads to it
  const Finding& f = result.findings[1];
  EXPECT_EQ(f.object, "A+B");
  EXPECT_EQ(f.message, "cycle: one -> two -> one");
  EXPECT_EQ(f.details, (std::vector<std::string>{
                           "one waits for B in ab since step 1, held by two since step 2",
                           "two waits for A in ba since step 2, held by one since step 1"}));
  EXPECT_EQ(result.verdict(), &f);
}

TEST(Deadlock, OfATaskWithItselfIsACycleOfOne) {
  struct Self {
    Mutex a{kA};
    explicit Self(Scheduler& s) {
      add_task(s, "one", this, [](Self& self) {
        self.a.lock();
        self.a.lock();
      });
    }
  };
  Program<Self> p;
  EXPECT_EQ(text_of(p.run_straight()),
            "deadlock::A @1 one\n"
            "  cycle: one -> one\n"
            "  - one waits for A since step 1, held by one since step 1\n");
}

TEST(Deadlock, IsFoundThroughAnyOfSeveralHolders) {
  struct Readers {
    Rwsem a{kA};
    Mutex b{kB};
    Completion never{"never"};
    explicit Readers(Scheduler& s) {
      add_task(s, "one", this, [](Readers& r) {
        r.a.down_read();
        r.never.wait();
      });
      add_task(s, "two", this, [](Readers& r) {
        r.a.down_read();
        r.b.lock();
      });
      add_task(s, "writer", this, [](Readers& r) {
        r.b.lock();
        r.a.down_write();
      });
    }
  };
  Program<Readers> p;
  const auto alternate = make_round_robin();
  const RunResult& result = p.run(*alternate);
  EXPECT_EQ(result.end, RunEnd::kDeadlock);
  ASSERT_FALSE(result.findings.empty());
  EXPECT_EQ(result.findings.back().message, "cycle: two -> writer -> two");
}

TEST(UserCount, DrainWaitsForAllUsersAndNamesThem) {
  struct Users {
    Mutex lock{kA};
    UserCount users{kB};
    explicit Users(Scheduler& s) {
      add_task(s, "user", this, [](Users& u) {
        u.lock.lock();
        u.users.enter();
        u.lock.unlock();
        u.lock.lock();
        u.users.leave();
        u.lock.unlock();
      });
      add_task(s, "drainer", this, [](Users& u) {
        u.lock.lock();
        while (u.users.busy()) {
          u.users.drain();  // with the lock that the user wants
        }
        u.lock.unlock();
      });
    }
  };
  Program<Users> p;
  const auto random = make_random();
  unsigned deadlocks = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    const RunResult& result = p.run(*random, {.seed = seed});
    if (result.end == RunEnd::kFinished) continue;
    ASSERT_EQ(result.end, RunEnd::kDeadlock);
    EXPECT_EQ(result.verdict()->message, "cycle: user -> drainer -> user");
    ++deadlocks;
  }
  EXPECT_GT(deadlocks, 0u);
}

TEST(Deadlock, NamesALockThatWasFreeWhenItWasAskedFor) {
  struct Taken {
    Mutex a{kA};
    explicit Taken(Scheduler& s) {
      add_task(s, "one", this, [](Taken& t) {
        t.a.lock();
        t.a.lock();
      });
      add_task(s, "two", this, [](Taken& t) { t.a.lock(); });  // announced while A is free
    }
  };
  Program<Taken> p;
  EXPECT_EQ(p.run_straight().findings[0].details[1],
            "two waits for A since step 0, held by one since step 1");
}

TEST(Deadlock, OfAReaderBehindAQueuedWriterIsFound) {
  struct Readers {
    Rwsem a{kA};
    explicit Readers(Scheduler& s) {
      add_task(s, "reader", this, [](Readers& r) {
        r.a.down_read();
        {
          FRAME(again);
          r.a.down_read();
        }
        r.a.up_read();
        r.a.up_read();
      });
      add_task(s, "writer", this, [](Readers& r) {
        FRAME(writer);
        r.a.down_write();
        r.a.up_write();
      });
    }
  };
  Program<Readers> p;
  const RunResult& result = p.run_table({{1, "writer"}, {0, "again"}});
  EXPECT_EQ(result.end, RunEnd::kFinished);  // the writer was first
  const auto alternate = make_round_robin();
  EXPECT_EQ(p.run(*alternate).end, RunEnd::kDeadlock);
}

TEST(Deadlock, IsNoneIfOnlyDaemonsWait) {
  struct Waiting {
    Mutex a{kA};
    explicit Waiting(Scheduler& s) {
      add_task(s, "one", this, [](Waiting& w) {
        w.a.try_lock();
        w.a.unlock();
      });
      add_task(
          s, "daemon", this,
          [](Waiting& w) {
            w.a.lock();
            w.a.lock();
          },
          true);
    }
  };
  Program<Waiting> p;
  EXPECT_EQ(p.run_straight().end, RunEnd::kFinished);
}

struct Spinning {
  Shared<int> word;
  explicit Spinning(Scheduler& s) {
    add_task(s, "spinner", this, [](Spinning& p) {
      FRAME(spin);
      while (p.word.load() == 0) continue;
    });
  }
};
TEST(Livelock, IsReportedAtTheStepLimit) {
  Program<Spinning> p;
  const RunResult& result = p.run_straight({.steps_max = 1000});
  EXPECT_EQ(result.end, RunEnd::kLivelock);
  EXPECT_EQ(text_of(result),
            "livelock:spin:spin @1000 spinner\n"
            "  no end after 1000 steps; spinner was running\n");
}

TEST(Livelock, IsReportedWhenEveryTaskPolls) {
  struct Polling {
    Shared<int> word;
    static void poll(Polling& p) {
      while (p.word.load() == 0) Scheduler::current()->relax();
    }
    explicit Polling(Scheduler& s) {
      add_task(s, "one", this, [](Polling& p) { poll(p); });
      add_task(s, "two", this, [](Polling& p) {
        for (int turn = 0; turn < 2; ++turn) {
          p.word.load();
          Scheduler::current()->relax();
        }
      });
    }
  };
  Program<Polling> p;
  const RunResult& result = p.run_straight();
  EXPECT_EQ(result.end, RunEnd::kLivelock);
  EXPECT_EQ(result.findings[0].message, "every task that could go on polls for a change");
}

struct LateChange {
  Shared<int> first, second;
  explicit LateChange(Scheduler& s) {
    add_task(s, "poller", this, [](LateChange& p) {
      while (p.first.load() == 0 && p.second.load() == 0) Scheduler::current()->relax();
    });
    add_task(s, "setter", this, [](LateChange& p) { p.first.store(1); });
  }
};
// The setter's only step may come when the poller has looked at the first word, not at the second.
TEST(Livelock, IsNotReportedOfAPollerThatHasNotSeenTheLastChange) {
  Program<LateChange> p;
  p.expect_clean(200, [](const RunResult&) {});
}

TEST(LockOrder, InversionIsFoundWithoutHangingWithBothEdges) {
  Program<Crossing> p;
  const RunResult& result = p.run_straight();
  EXPECT_EQ(result.end, RunEnd::kFinished);
  EXPECT_EQ(text_of(result),
            "lock-order::A+B @5 two\n"
            "  possible circular locking dependency: two asks for A while it holds B\n"
            "  - A -> B: one at step 2 in ab\n"
            "  - B -> A: two at step 6 in ba\n");
}

TEST(LockOrder, CycleOfThreeIsFound) {
  struct Three {
    Mutex a{kA}, c{kC};
    Rwsem b{kB};
    explicit Three(Scheduler& s) {
      add_task(s, "one", this, [](Three& t) {
        t.a.lock();
        t.b.down_read();
        t.b.up_read();
        t.a.unlock();
      });
      add_task(s, "two", this, [](Three& t) {
        t.b.down_write();
        t.c.lock();
        t.c.unlock();
        t.b.up_write();
      });
      add_task(s, "three", this, [](Three& t) {
        t.c.lock();
        t.a.lock();
        t.a.unlock();
        t.c.unlock();
      });
    }
  };
  Program<Three> p;
  const RunResult& result = p.run_straight();
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].signature(), "lock-order::A+B+C");
  EXPECT_EQ(result.findings[0].details,
            (std::vector<std::string>{"A -> B: one at step 2 in", "B -> C: two at step 6 in",
                                      "C -> A: three at step 10 in"}));
}

// a before b before e, a before c before e; then e before a: two cycles at once, one of which was
// not told. And d, held then too: a cycle of its own.
struct TwoWays {
  Mutex a{kA}, b{kB}, c{kC}, d{kD}, e{kE};
  static void nest(Mutex& outer, Mutex& inner) {
    outer.lock();
    inner.lock();
    inner.unlock();
    outer.unlock();
  }
  explicit TwoWays(Scheduler& s) {
    add_task(s, "one", this, [](TwoWays& t) {
      nest(t.a, t.b);
      nest(t.b, t.e);
      nest(t.a, t.c);
      nest(t.c, t.e);
      nest(t.a, t.d);
    });
    add_task(s, "two", this, [](TwoWays& t) {
      t.e.lock();
      t.d.lock();
      t.a.lock();
      t.a.unlock();
      t.d.unlock();
      t.e.unlock();
    });
  }
};
std::vector<std::string> signatures_in(const RunResult& result) {
  std::vector<std::string> signatures;
  for (const Finding& finding : result.findings) signatures.push_back(finding.signature());
  return signatures;
}
TEST(LockOrder, EveryShortestCycleThatAnEdgeClosesIsReported) {
  Program<TwoWays> p;
  const RunResult& result = p.run_straight();
  EXPECT_EQ(signatures_in(result),
            (std::vector<std::string>{"lock-order::A+D", "lock-order::A+B+E", "lock-order::A+C+E"}))
      << text_of(result);
  EXPECT_EQ(result.findings[1].message,
            "possible circular locking dependency: two asks for A while it holds E");
}

// A longer way round is told of no edge that has a shorter one, and a class that is held itself
// makes no longer ones.
TEST(LockOrder, LongerCyclesAreNotReported) {
  struct Longer {
    Mutex a{kA}, b{kB}, c{kC}, d{kD};
    explicit Longer(Scheduler& s) {
      add_task(s, "one", this, [](Longer& t) {
        TwoWays::nest(t.a, t.b);
        TwoWays::nest(t.b, t.c);
        TwoWays::nest(t.a, t.c);  // a shorter way from a to c
      });
      add_task(s, "two", this, [](Longer& t) {
        t.c.lock();
        t.d.lock();  // from c on: only the edge c -> a closes a cycle
        t.a.lock();
        t.a.unlock();
        t.d.unlock();
        t.c.unlock();
      });
    }
  };
  Program<Longer> p;
  EXPECT_EQ(signatures_in(p.run_straight()), (std::vector<std::string>{"lock-order::A+C"}));
}

// More than kCyclesMax ways from the first class to the last.
TEST(LockOrder, ReportsSoManyCyclesAndNoMore) {
  constexpr unsigned kWays = LockOrder::kCyclesMax + 4;
  struct Wide {
    LockClass classes[kWays];
    std::string names[kWays];
    Mutex* ways[kWays];
    Mutex a{kA}, z{kE};
    explicit Wide(Scheduler& s) {
      for (unsigned i = 0; i < kWays; ++i) {
        names[i] = "way " + std::to_string(10 + i);
        classes[i].name = names[i].c_str();
        ways[i] = new Mutex(classes[i]);
      }
      add_task(s, "one", this, [](Wide& w) {
        for (Mutex* way : w.ways) {
          TwoWays::nest(w.a, *way);
          TwoWays::nest(*way, w.z);
        }
        TwoWays::nest(w.z, w.a);
      });
    }
  };
  Program<Wide> p;
  const std::vector<std::string> signatures = signatures_in(p.run_straight());
  ASSERT_EQ(signatures.size(), LockOrder::kCyclesMax);
  EXPECT_EQ(signatures.front(), "lock-order::A+way 10+E");
  EXPECT_EQ(signatures.back(), "lock-order::A+way 25+E");
}

TEST(LockOrder, TrylockAddsNoEdgeAndALockOfTheSameClassNone) {
  struct Trying {
    Mutex a{kA}, b{kB}, other_a{kA};
    explicit Trying(Scheduler& s) {
      add_task(s, "one", this, [](Trying& t) {
        t.a.lock();
        t.other_a.lock();
        t.other_a.unlock();
        t.b.lock();
        t.b.unlock();
        t.a.unlock();
        t.b.lock();
        CHECK(t.a.try_lock());
        t.a.unlock();
        t.b.unlock();
      });
    }
  };
  Program<Trying> p;
  EXPECT_TRUE(p.run_straight().clean());
}

TEST(LockOrder, HasRoomForEveryPairOfFortyClasses) {
  struct Many {
    LockClass classes[40];
    Mutex* locks[40];
    explicit Many(Scheduler& s) {
      for (unsigned i = 0; i < std::size(locks); ++i) {
        classes[i].name = "one of many";
        locks[i] = new Mutex(classes[i]);
      }
      add_task(s, "one", this, [](Many& m) {
        for (Mutex* lock : m.locks) lock->lock();
        for (Mutex* lock : m.locks) lock->unlock();
      });
    }
  };
  Program<Many> p;
  EXPECT_TRUE(p.run_straight().clean());
}

}  // namespace
}  // namespace interleaf
