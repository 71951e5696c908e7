// SPDX-License-Identifier: GPL-2.0-only
// What each kind of synchronisation orders, over random runs: a program is right if no run has a
// race, wrong if one has.
#include <gtest/gtest.h>

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/awaitable.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/bit_lock.h"
#include "scheduler/sync/rcu.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/semaphore.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/thread.h"
#include "scheduler/sync/wait_queue.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kSemClass{"rwsem"};
constexpr LockClass kBitClass{"bit lock"};

template <typename First, typename Second>
struct Two {
  Rwsem rwsem{kSemClass};
  BitLock bit{kBitClass};
  BitFlags<2> flags;
  Semaphore semaphore{"semaphore", 0};
  Awaitable<int> awaited{"a value"};
  WaitQueue queue{"queue"};
  Rcu rcu;
  Shared<int> data, ready;
  Shared<Shared<int>*> pointer;
  explicit Two(Scheduler& s) {
    add_task(s, "first", this, [](Two& t) {
      FRAME(first);
      First{}(t);
    });
    add_task(s, "second", this, [](Two& t) {
      FRAME(second);
      Second{}(t);
    });
    add_task(
        s, "rcu", this, [](Two& t) { t.rcu.grace_periods(); }, true);
  }
};

// True if one of 200 random runs has a race; nothing else may be found.
template <typename State>
bool races_in(Program<State>& p) {
  const auto random = make_random();
  RunOptions options;
  options.detectors.data_race = true;
  bool races = false;
  for (options.seed = 0; options.seed < 200; ++options.seed) {
    for (const Finding& finding : p.run(*random, options).findings) {
      EXPECT_EQ(finding.kind, FindingKind::kDataRace) << finding.message;
      races = true;
    }
  }
  return races;
}
template <typename First, typename Second>
bool races(First, Second) {
  Program<Two<First, Second>> p;
  return races_in(p);
}

TEST(DataRaceSync, RwsemOrdersWritersAndReadersAndNotReadersAmongEachOther) {
  const auto writer = [](auto& t) {
    t.rwsem.down_write();
    t.data.store(1);
    t.rwsem.up_write();
  };
  const auto reader = [](auto& t) {
    t.rwsem.down_read();
    t.data.load();
    t.rwsem.up_read();
  };
  const auto reader_that_writes = [](auto& t) {
    t.rwsem.down_read();
    t.data.store(1);
    t.rwsem.up_read();
  };
  const auto downgrades = [](auto& t) {
    t.rwsem.down_write();
    t.data.store(1);
    t.rwsem.downgrade_write();
    t.rwsem.up_read();
  };
  EXPECT_FALSE(races(writer, reader));
  EXPECT_FALSE(races(writer, writer));
  EXPECT_FALSE(races(writer, reader_that_writes));
  EXPECT_FALSE(races(downgrades, reader));
  EXPECT_TRUE(races(reader, reader_that_writes));
}

TEST(DataRaceSync, BitLockOrdersItsHoldersAndWhoeverWaitsForIt) {
  const auto holder = [](auto& t) {
    t.bit.lock();
    t.data.store(1);
    t.bit.unlock();
  };
  EXPECT_FALSE(races(holder, holder));
  EXPECT_TRUE(races(holder, [](auto& t) { t.data.load(); }));
  EXPECT_TRUE(races(holder, [](auto& t) {
    if (!t.bit.is_locked()) t.data.load();
  }));
}

TEST(DataRaceSync, TestAndSetOrdersAndSetDoesNot) {
  const auto publishes = [](auto& t) {
    t.data.store(1);
    t.flags.test_and_set(0);
  };
  EXPECT_FALSE(races(publishes, [](auto& t) {
    if (t.flags.test_and_clear(0)) t.data.load();
  }));
  EXPECT_TRUE(races(publishes, [](auto& t) {
    if (t.flags.test(0)) t.data.load();
  }));
  EXPECT_TRUE(races(
      [](auto& t) {
        t.data.store(1);
        t.flags.set(0);
      },
      [](auto& t) {
        if (t.flags.test_and_clear(0)) t.data.load();
      }));
}

TEST(DataRaceSync, WhoeverHasASemaphoreIsAfterWhoeverGaveItUp) {
  const auto gives = [](auto& t) {
    t.data.store(1);
    t.semaphore.up();
  };
  EXPECT_FALSE(races(gives, [](auto& t) {
    t.semaphore.down();
    t.data.load();
  }));
  EXPECT_FALSE(races(gives, [](auto& t) {
    if (t.semaphore.down_trylock()) t.data.load();
  }));
  EXPECT_TRUE(races(gives, [](auto& t) {
    t.semaphore.down_trylock();
    t.data.load();
  }));
}

TEST(DataRaceSync, ALoadThatWaitsAcquiresAndASetReleasesOnlyIfItSaysSo) {
  const auto waits = [](auto& t) {
    t.awaited.cond_load([](int value) { return value == 1; });
    t.data.load();
  };
  EXPECT_FALSE(races(
      [](auto& t) {
        t.data.store(1);
        t.awaited.set_release(1);
      },
      waits));
  EXPECT_TRUE(races(
      [](auto& t) {
        t.data.store(1);
        t.awaited.set(1);
      },
      waits));
}

TEST(DataRaceSync, AWakeUpOrdersWhatWasBeforeIt) {
  EXPECT_FALSE(races(
      [](auto& t) {
        t.data.store(1);
        t.ready.write_once(1);
        t.queue.wake_up();
      },
      [](auto& t) {
        t.queue.prepare_to_wait();
        if (t.ready.read_once() == 0) {
          t.queue.schedule();
          t.data.load();
        }
        t.queue.finish_wait();
      }));
}

TEST(DataRaceSync, PublishedPointersOrderAndGracePeriodsWaitForReaders) {
  const auto publishes = [](auto& t) {
    t.data.store(1);
    t.pointer.store_release(&t.data);
  };
  const auto reads = [](auto& t) {
    t.rcu.read_lock();
    if (Shared<int>* data = t.pointer.read_once()) data->load();
    t.rcu.read_unlock();
  };
  EXPECT_FALSE(races(publishes, reads));
  EXPECT_TRUE(races(
      [](auto& t) {
        t.data.store(1);
        t.pointer.write_once(&t.data);
      },
      reads));
  const auto takes_away = [](auto& t) {
    t.pointer.store_release(&t.data);
    t.pointer.write_once(nullptr);
    t.rcu.synchronize();
    t.data.store(2);
  };
  EXPECT_FALSE(races(takes_away, reads));
  EXPECT_TRUE(races(
      [](auto& t) {
        t.pointer.store_release(&t.data);
        t.pointer.write_once(nullptr);
        t.data.store(2);
      },
      reads));
}

TEST(DataRaceSync, DoubleCheckedInitialisationNeedsAnAcquiringCheck) {
  const auto wrong = [](auto& t) {
    if (t.ready.load() == 0) {
      t.bit.lock();
      if (t.ready.load() == 0) {
        t.data.store(1);
        t.ready.store(1);
      }
      t.bit.unlock();
    }
    t.data.load();
  };
  const auto right = [](auto& t) {
    if (t.ready.load_acquire() == 0) {
      t.bit.lock();
      if (t.ready.load_acquire() == 0) {
        t.data.store(1);
        t.ready.store_release(1);
      }
      t.bit.unlock();
    }
    t.data.load();
  };
  EXPECT_TRUE(races(wrong, wrong));
  EXPECT_FALSE(races(right, right));
}

struct Parent {
  Thread* child;
  Shared<int> before, after, beside;
  explicit Parent(Scheduler& s)
      : child(new Thread(
            s, "child",
            [](void* p) {
              FRAME(child_body);
              auto& parent = *static_cast<Parent*>(p);
              parent.before.load();
              parent.after.store(1);
            },
            this)) {
    add_task(s, "parent", this, [](Parent& p) {
      FRAME(parent_body);
      p.before.store(1);
      p.child->start();
      p.child->join();
      p.after.load();
    });
  }
};
struct Careless : Parent {
  explicit Careless(Scheduler& s) : Parent(s) {
    add_task(s, "stranger", this, [](Careless& c) {
      FRAME(stranger);
      c.after.load();
    });
  }
};

TEST(DataRaceSync, AThreadIsAfterItsStartAndBeforeItsJoin) {
  {
    Program<Parent> ordered;
    EXPECT_FALSE(races_in(ordered));
  }
  Program<Careless> careless;
  EXPECT_TRUE(races_in(careless));
}

TEST(DataRaceSync, ARaceHidesNoOtherVerdict) {
  struct Both {
    Shared<int> data;
    BitLock lock{kBitClass};
    explicit Both(Scheduler& s) {
      add_task(s, "a", this, [](Both& b) { b.data.store(1); });
      add_task(s, "b", this, [](Both& b) {
        b.data.load();
        b.lock.lock();
      });
    }
  };
  Program<Both> p;
  RunOptions options;
  options.detectors.data_race = true;
  const RunResult& run = p.run_straight(options);
  ASSERT_EQ(run.findings.size(), 2u);
  EXPECT_EQ(run.verdict()->kind, FindingKind::kLockHeldAtEnd);
  for (const FindingKind kind : finding_kinds()) EXPECT_LE(kind, FindingKind::kDataRace);
}

}  // namespace
}  // namespace interleaf
