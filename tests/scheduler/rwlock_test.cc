// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/rwlock.h"

#include <gtest/gtest.h>

#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kRwlock{"rwlock"};

struct ReadersAndWriters {
  Rwlock lock{kRwlock};
  Shared<int> word;
  int readers = 0, together = 0;
  bool writing = false;

  explicit ReadersAndWriters(Scheduler& s) {
    for (const char* name : {"r1", "r2", "r3"}) {
      add_task(s, name, this, [](ReadersAndWriters& p) {
        p.lock.read_lock();
        CHECK(!p.writing);
        if (++p.readers > p.together) p.together = p.readers;
        p.word.load();
        CHECK(!p.writing);
        --p.readers;
        p.lock.read_unlock();
      });
    }
    for (const char* name : {"w1", "w2"}) {
      add_task(s, name, this, [](ReadersAndWriters& p) {
        p.lock.write_lock();
        CHECK(!p.writing && p.readers == 0);
        p.writing = true;
        p.word.store(1);
        p.writing = false;
        p.lock.write_unlock();
      });
    }
  }
};
TEST(Rwlock, AdmitsReadersTogetherAndAWriterAlone) {
  Program<ReadersAndWriters> p;
  int together = 0;
  p.expect_clean(2000, [&](const RunResult&) {
    if (p.state().together > together) together = p.state().together;
  });
  EXPECT_EQ(together, 3);
}

struct Sleeper {
  Rwlock lock{kRwlock};
  Shared<int> word;
  explicit Sleeper(Scheduler& s) {
    add_task(s, "sleeper", this, [](Sleeper& r) {
      r.lock.read_lock();
      Scheduler::current()->might_sleep(std::source_location::current());
    });
  }
};
TEST(Rwlock, ForbidsToSleep) {
  Program<Sleeper> p;
  EXPECT_EQ(p.run_straight().findings[0].kind, FindingKind::kSleepInAtomic);
}

}  // namespace
}  // namespace interleaf
