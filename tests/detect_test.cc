// SPDX-License-Identifier: GPL-2.0-only
// Findings about one task's own doing: atomic context, reference counts, lifetime, locks.
#include <gtest/gtest.h>

#include <string>

#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rcu.h"
#include "scheduler/sync/refcount.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kA{"A"}, kB{"B"};

template <typename Body>
struct Alone {
  Mutex mutex{kA};
  Spinlock spinlock{kB};
  Rcu rcu;
  Refcount count{"folio"};
  Shared<int>* word = new Shared<int>();
  explicit Alone(Scheduler& s) {
    add_task(s, "task", this, [](Alone& a) {
      FRAME(body);
      Body{}(a);
    });
  }
};
template <typename Body>
std::string found_in(Body) {
  Program<Alone<Body>> p;
  return text_of(p.run_straight());
}

TEST(SleepInAtomic, IsReportedUnderASpinlockAndInAnRcuReadSection) {
  const std::string spinlock = found_in([](auto& a) {
    a.spinlock.lock();
    a.mutex.lock();
  });
  EXPECT_EQ(spinlock.substr(0, 37), "sleep-in-atomic:body:body @1 task\n  m");
  EXPECT_NE(spinlock.find(" while atomic, holding B\n"), std::string::npos);
  const std::string rcu = found_in([](auto& a) {
    a.rcu.read_lock();
    a.mutex.lock();
  });
  EXPECT_NE(rcu.find(" while atomic, in an RCU read section\n"), std::string::npos);
  EXPECT_EQ(found_in([](auto& a) {
              a.spinlock.lock();
              CHECK(a.mutex.try_lock());
              a.mutex.unlock();
              a.spinlock.unlock();
            }),
            "");
}

TEST(Refcount, UnderflowAndGetFromZeroAreReported) {
  EXPECT_EQ(found_in([](auto& a) { a.count.put(2); }),
            "refcount:body:folio @1 task\n  the count fell below zero\n");
  EXPECT_EQ(found_in([](auto& a) {
              CHECK(a.count.put() && !a.count.try_get());
              a.count.get();
            }),
            "refcount:body:folio @3 task\n  a reference was taken from zero\n");
}

TEST(Lifetime, UseAfterFreeIsReportedAtTheFirstAccess) {
  const std::string text = found_in([](auto& a) {
    delete a.word;
    a.word->store(1);
  });
  EXPECT_EQ(text.substr(0, 70),
            "use-after-free:body:memory @0 task\n  access to a freed memory at line ");
  EXPECT_EQ(found_in([](auto& a) {
              delete a.word;
              delete a.word;
            }),
            "use-after-free:body:memory @0 task\n  freed twice\n");
}

TEST(Lifetime, UseOfAnObjectThatWasFreedBetweenAnnouncementAndAccessIsReported) {
  struct Freed {
    Shared<int>* word = new Shared<int>();
    Shared<int> other;
    explicit Freed(Scheduler& s) {
      add_task(s, "user", this, [](Freed& f) { f.word->load(); });
      add_task(s, "owner", this, [](Freed& f) {
        FRAME(owner);
        f.other.load();
        delete f.word;
      });
    }
  };
  Program<Freed> p;
  const RunResult& result = p.run_table({{1, "owner"}});
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].signature(), "use-after-free::memory");
}

TEST(LockHeldAtEnd, IsReportedWithTheStepThatTookIt) {
  EXPECT_EQ(found_in([](auto& a) { a.mutex.lock(); }),
            "lock-held-at-end::A @1 task\n  task ended with A held since step 1\n");
}

TEST(UnlockOfALockNotHeld, IsReported) {
  EXPECT_EQ(found_in([](auto& a) { a.mutex.unlock(); }).substr(0, 31),
            "kernel-bug:body:lock @1 task\n  ");
}

}  // namespace
}  // namespace interleaf
