// SPDX-License-Identifier: GPL-2.0-only
// Exclusive locks, bit words, completions, reference counts under many schedules.
#include <gtest/gtest.h>

#include <string>

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/bit_lock.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/refcount.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kLock{"lock"};

template <typename Lock>
struct Counting {
  Lock lock{kLock};
  Shared<int> count;
  explicit Counting(Scheduler& s) {
    for (const char* name : {"a", "b", "c"}) {
      add_task(s, name, this, [](Counting& c) {
        for (int i = 0; i < 3; ++i) {
          if (i != 1) {
            c.lock.lock();
          } else {
            while (!c.lock.try_lock()) Scheduler::current()->relax();
          }
          CHECK(c.lock.held_by_me());
          c.count.store(c.count.load() + 1);
          c.lock.unlock();
        }
      });
    }
  }
};
template <typename Lock>
class Exclusion : public testing::Test {};
using Locks = testing::Types<Mutex, Spinlock, BitLock>;
TYPED_TEST_SUITE(Exclusion, Locks);

TYPED_TEST(Exclusion, LetsNoIncrementGetLost) {
  Program<Counting<TypeParam>> p;
  p.expect_clean(500, [&](const RunResult&) { EXPECT_EQ(p.state().count.peek(), 9); });
}

struct Unprotected {
  Shared<int> count;
  explicit Unprotected(Scheduler& s) {
    for (const char* name : {"a", "b"}) {
      add_task(s, name, this, [](Unprotected& u) { u.count.store(u.count.load() + 1); });
    }
  }
};
TEST(Shared, LosesAnIncrementWithoutALock) {
  Program<Unprotected> p;
  int lost = 0;
  p.expect_clean(100, [&](const RunResult&) { lost += p.state().count.peek() == 1; });
  EXPECT_GT(lost, 10);
  EXPECT_LT(lost, 90);
}

struct Atomics {
  Atomic<int> sum{5};
  std::string seen;
  explicit Atomics(Scheduler& s) {
    add_task(s, "a", this, [](Atomics& a) {
      const int results[] = {a.sum.add_return(2),
                             a.sum.cmpxchg(7, 9),
                             a.sum.cmpxchg(7, 1),
                             a.sum.xchg(0),
                             a.sum.inc_not_zero(),
                             a.sum.inc_unless_negative(),
                             a.sum.dec_and_test(),
                             a.sum.dec_unless_positive(),
                             a.sum.add_unless(4, -1),
                             a.sum.inc_unless_negative(),
                             a.sum.read()};
      const HeapScope heap;
      for (int result : results) a.seen += std::to_string(result) + ' ';
    });
  }
};
TEST(Atomic, OperationsReturnWhatLinuxDocuments) {
  Program<Atomics> p;
  EXPECT_EQ(p.run_straight().steps, 11u);
  EXPECT_EQ(p.state().seen, "7 7 9 9 0 1 1 1 0 0 -1 ");
}

struct PageIo {
  BitLock lock{kLock};
  Completion submitted{"submission"};
  Shared<int> filled, seen;
  explicit PageIo(Scheduler& s) {
    add_task(s, "reader", this, [](PageIo& io) {
      io.lock.lock();
      io.lock.disown();
      CHECK(!io.lock.held_by_me() && io.lock.is_locked());
      io.submitted.complete();
      io.lock.wait();
      io.seen.store(io.filled.load());
    });
    add_task(s, "disk", this, [](PageIo& io) {
      io.submitted.wait();
      CHECK(!io.lock.try_lock());
      io.filled.store(1);
      io.lock.unlock_by_other();
    });
  }
};
TEST(BitLock, StaysLockedWhenDisownedUntilAnotherTaskUnlocksIt) {
  Program<PageIo> p;
  p.expect_clean(200, [&](const RunResult&) {
    EXPECT_EQ(p.state().seen.peek(), 1);
    EXPECT_FALSE(p.state().lock.peek_locked());
  });
}

struct Flags {
  BitFlags<8> flags;
  Shared<int> order;
  explicit Flags(Scheduler& s) {
    flags.poke(3, true);
    flags.poke(4, true);
    add_task(s, "waiter", this, [](Flags& f) {
      do {
        f.flags.wait_clear(3, "bit 3");
      } while (f.flags.test(3));
      f.order.store(f.order.load() * 10 + 1);
    });
    add_task(s, "clearer", this, [](Flags& f) {
      CHECK(f.flags.test_and_clear(4) && !f.flags.test_and_set(4));
      f.order.store(2);
      f.flags.clear(3);
      f.flags.set(3);  // the waiter may see it clear, or wait again
      f.order.store(3);
      f.flags.clear(3);
    });
  }
};
TEST(BitFlags, WaitClearWaitsForItsOwnBitOnly) {
  Program<Flags> p;
  std::string orders;
  p.expect_clean(300, [&](const RunResult&) {
    const int order = p.state().order.peek();
    EXPECT_TRUE(order == 3 || order == 21 || order == 31) << order;
    EXPECT_EQ(p.state().flags.peek_all(), 1u << 4);
  });
}
TEST(BitFlags, CanBeClearedAfterTheRunWhileATaskWaits) {
  struct Waiting {
    BitFlags<8> flags;
    explicit Waiting(Scheduler& s) {
      flags.poke(1, true);
      add_task(
          s, "a", this, [](Waiting& w) { w.flags.wait_clear(1, "bit 1"); }, true);
      add_task(s, "b", this, [](Waiting& w) { w.flags.test(0); });
    }
  };
  Program<Waiting> p;
  p.run_straight();
  p.state().flags.clear(1);
  EXPECT_EQ(p.state().flags.peek_all(), 0u);
}

struct Completions {
  Completion some{"some"}, all{"all"};
  Shared<int> given;
  Atomic<int> taken;
  explicit Completions(Scheduler& s) {
    for (const char* name : {"a", "b"}) {
      add_task(s, name, this, [](Completions& c) {
        c.some.wait();
        c.taken.inc();
        CHECK(c.taken.peek() <= c.given.peek());
        c.all.wait();
        c.all.wait();
      });
    }
    add_task(s, "giver", this, [](Completions& c) {
      for (int i = 1; i <= 2; ++i) {
        c.given.poke(i);
        c.some.complete();
      }
      CHECK(!c.all.is_done());
      c.all.complete_all();
    });
  }
};
TEST(Completion, LetsOneWaiterGoOnPerCompleteAndAllAfterCompleteAll) {
  Program<Completions> p;
  p.expect_clean(300, [&](const RunResult&) { EXPECT_EQ(p.state().taken.peek(), 2); });
}

struct Counted {
  Refcount count{"folio", 2};
  Atomic<int> last, frozen;
  explicit Counted(Scheduler& s) {
    for (const char* name : {"a", "b"}) {
      add_task(s, name, this, [](Counted& c) {
        if (c.count.put()) c.last.inc();
      });
    }
    add_task(s, "c", this, [](Counted& c) {
      if (c.count.freeze(2)) {
        c.frozen.inc();
        c.count.unfreeze(2);
      } else if (c.count.try_get()) {
        if (c.count.put()) c.last.inc();
      }
    });
  }
};
TEST(Refcount, ReachesZeroOnceUnlessItIsTakenFrozen) {
  Program<Counted> p;
  int frozen = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const RunResult& result = p.run_random(seed);
    if (!result.clean()) continue;  // a put while frozen is misuse: detect_test.cc
    EXPECT_EQ(p.state().last.peek(), 1) << "seed " << seed;
    frozen += p.state().frozen.peek();
  }
  EXPECT_GT(frozen, 0);
}

}  // namespace
}  // namespace interleaf
