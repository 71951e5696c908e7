// SPDX-License-Identifier: GPL-2.0-only
// What orders two accesses, and what does not.
#include <gtest/gtest.h>

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/barrier.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kLock{"lock"};

template <typename First, typename Second>
struct Two {
  Mutex mutex{kLock};
  Completion done{"done"};
  Atomic<int> atomic;
  Shared<int> data, flag;
  explicit Two(Scheduler& s) {
    add_task(s, "first", this, [](Two& t) {
      FRAME(first);
      First{}(t);
    });
    add_task(s, "second", this, [](Two& t) {
      FRAME(second);
      Second{}(t);
    });
  }
};

// How many races the tasks have, one after the other.
template <typename First, typename Second>
std::size_t races(First, Second) {
  Program<Two<First, Second>> p;
  RunOptions options;
  options.detectors.data_race = true;
  return p.run_straight(options).findings.size();
}

constexpr auto kWrite = [](auto& t) { t.data.store(1); };
constexpr auto kRead = [](auto& t) { t.data.load(); };

TEST(DataRace, PlainAccessesWithoutOrderRaceUnlessBothReadOrBothAreMarked) {
  const auto mark_read = [](auto& t) { t.data.read_once(); };
  const auto mark_write = [](auto& t) { t.data.write_once(1); };
  EXPECT_EQ(races(kWrite, kRead), 1u);
  EXPECT_EQ(races(kRead, kWrite), 1u);
  EXPECT_EQ(races(kWrite, mark_read), 1u);
  EXPECT_EQ(races(mark_write, kRead), 1u);
  EXPECT_EQ(races(kRead, kRead), 0u);
  EXPECT_EQ(races(mark_write, mark_read), 0u);
  EXPECT_EQ(races(kWrite, [](auto& t) { t.data.load_racy(); }), 0u);
}

TEST(DataRace, LocksAndCompletionsOrder) {
  const auto locked_write = [](auto& t) {
    t.mutex.lock();
    t.data.store(1);
    t.mutex.unlock();
  };
  EXPECT_EQ(races(locked_write,
                  [](auto& t) {
                    t.mutex.lock();
                    t.data.load();
                    t.mutex.unlock();
                  }),
            0u);
  EXPECT_EQ(races(locked_write, kRead), 1u);
  EXPECT_EQ(races(
                [](auto& t) {
                  t.data.store(1);
                  t.done.complete();
                },
                [](auto& t) {
                  t.done.wait();
                  t.data.load();
                }),
            0u);
}

TEST(DataRace, MessagePassingNeedsReleaseAndAcquireOrBarriers) {
  const auto release = [](auto& t) {
    t.data.store(1);
    t.flag.store_release(1);
  };
  const auto relaxed = [](auto& t) {
    t.data.store(1);
    t.flag.write_once(1);
  };
  const auto acquire = [](auto& t) {
    t.flag.load_acquire();
    t.data.load();
  };
  const auto barrier = [](auto& t) {
    t.flag.read_once();
    smp_rmb();
    t.data.load();
  };
  EXPECT_EQ(races(release, acquire), 0u);
  EXPECT_EQ(races(release, barrier), 0u);
  EXPECT_EQ(races(relaxed, acquire), 1u);
  EXPECT_EQ(races(release,
                  [](auto& t) {
                    t.flag.read_once();
                    t.data.load();
                  }),
            1u);
  EXPECT_EQ(races(
                [](auto& t) {
                  t.data.store(1);
                  smp_wmb();
                  t.flag.write_once(1);
                },
                barrier),
            0u);
}

TEST(DataRace, AtomicsThatReturnAValueOrderAndOthersDoNot) {
  const auto writes = [](auto& t) {
    t.data.store(1);
    t.atomic.add_return(1);
  };
  EXPECT_EQ(races(writes,
                  [](auto& t) {
                    t.atomic.add_return(1);
                    t.data.load();
                  }),
            0u);
  EXPECT_EQ(races(writes,
                  [](auto& t) {
                    t.atomic.inc();
                    t.data.load();
                  }),
            1u);
  EXPECT_EQ(races(writes,
                  [](auto& t) {
                    t.atomic.cmpxchg(7, 8);
                    t.data.load();
                  }),
            1u);
}

}  // namespace
}  // namespace interleaf
