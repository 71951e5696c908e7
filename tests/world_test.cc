// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/world.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/wait_queue.h"
#include "tests/scheduler_programs.h"

#if !defined(__SANITIZE_ADDRESS__)
// Every allocation of the test program is counted.
extern "C" void* __libc_malloc(std::size_t bytes);  // NOLINT
static std::uint64_t g_allocations = 0;
extern "C" void* malloc(std::size_t bytes) {
  ++g_allocations;
  return __libc_malloc(bytes);
}
#endif

namespace interleaf {
namespace {

constexpr LockClass kMutex{"mutex"};
constexpr LockClass kRwsem{"rwsem"};

// Counted when it comes and when it goes.
struct Guests {
  Atomic<int> came, left;
};
struct Guest {
  explicit Guest(Guests& g) : guests(g) { guests.came.inc(); }
  ~Guest() { guests.left.inc(); }
  Guests& guests;
};

// Everything that a snapshot may meet: tasks blocked at each primitive, live objects, exceptions
// between points, memory that comes and goes, tasks that end early.
struct Everything {
  Mutex mutex{kMutex};
  Rwsem rwsem{kRwsem};
  WaitQueue queue{"work"};
  Completion opened{"the opening"};
  Shared<int> work, done;
  Guests guests;
  bool throws = true;

  explicit Everything(Scheduler& s) {
    add_task(s, "opener", this, [](Everything& e) { e.opened.complete_all(); });
    add_task(s, "maker", this, [](Everything& e) {
      e.opened.wait();
      for (int i = 0; i < 3; ++i) {
        const Guest guest(e.guests);
        e.mutex.lock();
        e.work.store(e.work.load() + 1);
        e.mutex.unlock();
        e.queue.wake_up();
      }
    });
    for (const char* name : {"taker", "other"}) {
      add_task(s, name, this, [](Everything& e) {
        std::string text = "a string that is too long to be kept inside of it";
        while (e.done.load() < 3) {
          const Guest guest(e.guests);
          e.queue.wait_event([&] { return e.work.load() > 0 || e.done.load() >= 3; });
          e.mutex.lock();
          const bool got = e.work.load() > 0;
          if (got) e.work.store(e.work.load() - 1);
          e.mutex.unlock();
          try {
            if (!got && e.throws) throw std::runtime_error(text);
            if (!got) continue;
          } catch (const std::runtime_error& error) {
            text += error.what()[0];
            continue;
          }
          e.rwsem.down_write();
          e.done.store(e.done.load() + 1);
          e.rwsem.up_write();
          e.queue.wake_up_all();
        }
        Scheduler::current()->mix(text.size());
      });
    }
    add_task(s, "reader", this, [](Everything& e) {
      for (int i = 0; i < 2; ++i) {
        e.rwsem.down_read();
        Scheduler::current()->mix(static_cast<std::uint64_t>(e.done.load()));
        e.rwsem.up_read();
      }
    });
  }
};

std::string summary(const RunResult& r) {
  return std::to_string(static_cast<int>(r.end)) + ' ' + std::to_string(r.steps) + ' ' +
         std::to_string(r.switches) + ' ' + std::to_string(r.preemptions) + ' ' +
         std::to_string(r.digest) + ' ' + std::string(r.schedule.begin(), r.schedule.end());
}

TEST(World, RunsTheSameSeedToTheSameDigest) {
  Program<Everything> p;
  std::vector<std::string> first;
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      const RunResult& result = p.run_random(seed);
      ASSERT_TRUE(result.clean()) << seed << result.findings[0].message;
      if (round == 0) first.push_back(summary(result));
      EXPECT_EQ(summary(result), first[seed]) << "seed " << seed << ", round " << round;
    }
  }
  std::sort(first.begin(), first.end());
  EXPECT_GT(std::unique(first.begin(), first.end()) - first.begin(), 90);
}

TEST(World, RunsAlikeAfterAnotherWorldTookItsPlace) {
  std::string first;
  for (int i = 0; i < 20; ++i) {
    Program<Everything> p;
    const std::string text = summary(p.run_random(7));
    if (i == 0) first = text;
    EXPECT_EQ(text, first);
  }
}

TEST(World, SnapshotsMidRunRunsOnRestoresAndRunsToTheSameDigest) {
  Program<Everything> p;
  World& world = p.world();
  Pausing strategy;
  World::Snapshot snapshot;
  unsigned pauses = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const std::string whole = summary(world.run(strategy, {.seed = seed}));
    const std::size_t choices = world.scheduler().choices();
    for (std::size_t at = seed % 3; at < choices; at += 3) {
      strategy.pause_at(at);
      ASSERT_EQ(world.run(strategy, {.seed = seed}).end, RunEnd::kPaused);
      world.save(snapshot);
      for (int again = 0; again < 2; ++again) {
        ASSERT_EQ(summary(world.resume(strategy)), whole) << "seed " << seed << ", choice " << at;
        world.restore(snapshot);
      }
      strategy.pause_at((at + choices) / 2 + 1);  // abandoned on its way
      world.resume(strategy);
      world.restore(snapshot);
      ASSERT_EQ(summary(world.resume(strategy)), whole) << "seed " << seed << ", choice " << at;
      strategy.pause_at(Pausing::kNever);
      ++pauses;
    }
    ASSERT_EQ(summary(world.run(strategy, {.seed = seed})), whole);
  }
  EXPECT_GT(pauses, 500u);
}

TEST(World, ARunLeavesNothingBehind) {
  Program<Everything> p;
  Pausing strategy;
  strategy.pause_at(0);
  p.run(strategy);
  const std::vector<std::byte> fresh = p.world().arena().save();
  for (std::uint64_t seed = 0; seed < 20; ++seed) p.run_random(seed);
  strategy.pause_at(0);
  p.run(strategy);
  EXPECT_EQ(p.world().arena().save(), fresh);
}

TEST(World, UnwindsEveryFrameOfAFinishedTaskOnce) {
  Program<Everything> p;
  p.expect_clean(200, [&](const RunResult&) {
    EXPECT_EQ(p.state().done.peek(), 3);
    EXPECT_GE(p.state().guests.came.peek(), 3 + 3);
    EXPECT_EQ(p.state().guests.came.peek(), p.state().guests.left.peek());
  });
}

struct Silent {
  explicit Silent(Scheduler& s) {
    add_task(s, "silent", this, [](Silent&) {});
    add_task(
        s, "daemon", this,
        [](Silent&) {
          for (;;) Scheduler::current()->relax();
        },
        true);
  }
};
TEST(World, EndsAtOnceIfOnlyDaemonsGetToAPoint) {
  Program<Silent> p;
  EXPECT_EQ(p.run_random(1).end, RunEnd::kFinished);
  EXPECT_TRUE(p.run_random(1).clean());
}

struct BlockedFromTheStart {
  Completion never{"what never comes"};
  explicit BlockedFromTheStart(Scheduler& s) {
    add_task(s, "waiter", this, [](BlockedFromTheStart& b) { b.never.wait(); });
  }
};
TEST(World, ReportsADeadlockOfTasksThatNeverGetPastTheirFirstPoint) {
  Program<BlockedFromTheStart> p;
  for (int again = 0; again < 2; ++again) {
    const RunResult& result = p.run_random(1);
    EXPECT_EQ(result.end, RunEnd::kDeadlock);
    ASSERT_EQ(result.findings.size(), 1u);
    EXPECT_EQ(result.findings[0].signature(), "deadlock::what never comes");
  }
}

struct BrokenFromTheStart {
  Shared<int> word;
  explicit BrokenFromTheStart(Scheduler& s) {
    add_task(s, "breaker", this, [](BrokenFromTheStart&) {
      Scheduler::current()->report(FindingKind::kKernelBug, "start", "at once", true);
    });
    add_task(s, "other", this, [](BrokenFromTheStart& b) { b.word.load(); });
  }
};
TEST(World, StopsEveryRunAtAFatalFindingBeforeTheFirstPoint) {
  Program<BrokenFromTheStart> p;
  for (int again = 0; again < 2; ++again) {
    const RunResult& result = p.run_random(1);
    EXPECT_EQ(result.end, RunEnd::kStopped);
    ASSERT_EQ(result.findings.size(), 1u);
    EXPECT_EQ(result.findings[0].message, "at once");
  }
}

struct OneDies {
  Mutex mutex{kMutex};
  Shared<int> seen;
  explicit OneDies(Scheduler& s) {
    add_task(s, "dies", this, [](OneDies& d) {
      d.mutex.lock();
      d.seen.load();
      Scheduler::current()->report(FindingKind::kKernelBug, "here", "fatal", true);
    });
    add_task(s, "waits", this, [](OneDies& d) {
      d.mutex.lock();
      d.mutex.unlock();
    });
    add_task(s, "finds", this, [](OneDies& d) {
      d.seen.store(1);
      Scheduler::current()->report(FindingKind::kKernelWarning, "there", "later", false);
    });
  }
};
TEST(World, LetsTheOthersFinishAfterAFatalFinding) {
  Program<OneDies> p;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const RunResult& result = p.run_random(seed);
    EXPECT_EQ(result.end, RunEnd::kStopped) << seed;
    // Whoever waits for the lock that died with its holder is no deadlock of its own.
    ASSERT_EQ(result.findings.size(), 2u) << text_of(result);
    EXPECT_EQ(result.verdict()->message, "fatal");
  }
}

// Exceptions are the C++ library's affair: it keeps them on the heap.
struct WithoutExceptions : Everything {
  explicit WithoutExceptions(Scheduler& s) : Everything(s) { throws = false; }
};
#if !defined(__SANITIZE_ADDRESS__)
TEST(World, NeedsNoHeapAllocationInSteadyState) {
  Program<WithoutExceptions> p;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) p.run_random(seed);
  const std::uint64_t before = g_allocations;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) p.run_random(seed);
  EXPECT_EQ(g_allocations - before, 0u);
}

// Strict seccomp kills whoever makes another system call than read, write and exit.
TEST(World, NeedsNoSystemCallInSteadyState) {
  const auto thousand_runs = [] {
    Program<WithoutExceptions> p;
    for (std::uint64_t seed = 0; seed < 1000; ++seed) p.run_random(seed);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(1);
    for (std::uint64_t seed = 0; seed < 1000; ++seed) p.run_random(seed);
    syscall(SYS_exit, 0);
  };
  EXPECT_EXIT(thousand_runs(), testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace interleaf
