// SPDX-License-Identifier: GPL-2.0-only
// What steps do besides what they announce, and what of it reductions must know: frees, looks at
// fields, polling, the quiet at the end; and linearisations of a run.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "scheduler/dependence.h"
#include "scheduler/search/linearize.h"
#include "scheduler/search/order_hash.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/refcount.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/wait_queue.h"
#include "scheduler_programs.h"

namespace interleaf {
namespace {

OrderedRun steps_of(World& world, Strategy& strategy, std::uint64_t seed = 0) {
  const auto recorder = make_step_recorder(strategy);
  world.run(*recorder, {.seed = seed, .steps_max = 10'000});
  return recorder->steps();
}

Hash128 order_of(const OrderedRun& run) {
  OrderHash hash;
  hash.clear();
  for (const OrderedStep& step : run) {
    hash.event(step.task, step.access);
    for (const OrderedStep::Also& also : step.also) hash.event(step.task, also.op, also.object);
  }
  return hash.total();
}

struct Block {
  Shared<int> field, other;
  Refcount count{"block", 2};
};

// Two references; who drops the last one frees. "reader" reads a field with its own reference.
struct Counted {
  Block* block = new Block;
  static void put(Counted& c) {
    if (c.block->count.put()) delete c.block;
  }
  explicit Counted(Scheduler& s) {
    add_task(s, "reader", this, [](Counted& c) {
      c.block->field.load();
      put(c);
    });
    add_task(s, "other", this, [](Counted& c) { put(c); });
  }
};

TEST(Step, ThatFreesDependsOnAccessesOfWhatItFrees) {
  Program<Counted> p;
  const auto straight = make_keep_running();
  const OrderedRun run = steps_of(p.world(), *straight);
  ASSERT_EQ(run.size(), 3u);
  EXPECT_EQ(run[0].access.op, Op::kRead);
  EXPECT_TRUE(run[1].also.empty());
  std::set<std::uint32_t> freed;
  for (const OrderedStep::Also& also : run[2].also) {
    EXPECT_EQ(also.op, Op::kFree);
    freed.insert(also.object);
  }
  EXPECT_EQ(freed, (std::set<std::uint32_t>{run[0].access.object, run[1].access.object}));
  EXPECT_FALSE(dependent(run[0].access, run[2].access));
  EXPECT_TRUE(dependent(run[0], run[2]));
}

// A free that no reference orders with the access: both orders exist, and are different orders.
struct Unprotected {
  Block* block = new Block;
  Shared<int> word;
  explicit Unprotected(Scheduler& s) {
    add_task(s, "reader", this, [](Unprotected& c) { c.block->field.load(); });
    add_task(s, "freeer", this, [](Unprotected& c) {
      c.word.store(1);
      delete c.block;
      c.word.store(2);
    });
  }
};

TEST(Step, ThatFreesMayNotPassAnAccessOfWhatItFrees) {
  Program<Unprotected> p;
  const auto straight = make_keep_running();
  const OrderedRun run = steps_of(p.world(), *straight);
  ASSERT_EQ(run.size(), 3u);
  EXPECT_TRUE(dependent(run[0], run[1]));
  const PartialOrder order(run);
  Prng prng(1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order.draw(prng), (Linearization{0, 1, 2}));
}

struct Allocating {
  Shared<int> a, b;
  std::vector<std::uint32_t>* numbers = nullptr;
  explicit Allocating(Scheduler& s) {
    add_task(s, "one", this, [](Allocating& p) {
      p.numbers = new std::vector<std::uint32_t>{2, 3, 4, 5};
      p.a.store(1);
      delete p.numbers;
      p.a.store(2);
    });
    add_task(s, "two", this, [](Allocating& p) { p.b.store(1); });
  }
};

TEST(Step, FreesNoObjectWhereMemoryHappensToHoldItsNumber) {
  Program<Allocating> p;
  const auto straight = make_keep_running();
  for (const OrderedStep& step : steps_of(p.world(), *straight)) EXPECT_TRUE(step.also.empty());
}

struct Looking {
  Shared<int> flag, own;
  explicit Looking(Scheduler& s) {
    add_task(s, "looker", this, [](Looking& p) {
      p.own.store(1);
      if (p.flag.look() != 0) p.own.store(2);
    });
    add_task(s, "setter", this, [](Looking& p) { p.flag.store(1); });
  }
};

TEST(Step, ThatLooksDependsOnWrites) {
  Program<Looking> p;
  const auto straight = make_keep_running();
  const OrderedRun run = steps_of(p.world(), *straight);
  ASSERT_EQ(run.size(), 2u);
  EXPECT_FALSE(dependent(run[0].access, run[1].access));
  EXPECT_TRUE(dependent(run[0], run[1]));
}

struct Waiting {
  WaitQueue queue{"queue"};
  Shared<int> ready, work;
  explicit Waiting(Scheduler& s) {
    add_task(s, "waiter", this, [](Waiting& w) {
      w.queue.wait_event([&] {
        w.work.load();
        return w.ready.load() != 0;
      });
    });
    for (const char* name : {"waker", "waker too"}) {
      add_task(s, name, this, [](Waiting& w) {
        w.ready.store(1);
        w.queue.wake_up();
      });
    }
  }
};

// Whether finish_wait() has something to do depends on whether a wake-up came before.
template <typename State>
void expect_permutable(std::uint64_t seeds) {
  Program<State> p;
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const OrderedRun run = steps_of(p.world(), *random, seed);
    const PartialOrder order(run);
    Prng prng(seed);
    for (int i = 0; i < 8; ++i) {
      std::vector<const OrderedStep*> wanted;
      for (const std::uint32_t step : order.draw(prng)) wanted.push_back(&run[step]);
      const auto follower = make_follower(wanted);
      const OrderedRun other = steps_of(p.world(), *follower);
      ASSERT_TRUE(follower->good()) << "seed " << seed << " at " << follower->followed();
      ASSERT_EQ(other.size(), run.size()) << "seed " << seed;
      ASSERT_EQ(order_of(other), order_of(run)) << "seed " << seed;
    }
  }
}

TEST(Permuted, WakeUpBeforeAndAfterTheConditionIsSeen) { expect_permutable<Waiting>(300); }

struct Polling {
  Shared<int> ready, other, work;
  explicit Polling(Scheduler& s) {
    for (const char* name : {"poller", "poller too"}) {
      add_task(s, name, this, [](Polling& p) {
        while (p.ready.load() + p.other.load() < 2) Scheduler::current()->relax();
        p.work.store(1);
      });
    }
    add_task(s, "setter", this, [](Polling& p) {
      p.work.store(2);
      p.ready.store(1);
      p.work.store(3);
    });
    add_task(s, "setter too", this, [](Polling& p) { p.other.store(1); });
  }
};

TEST(Permuted, PollingTasks) { expect_permutable<Polling>(300); }

TEST(Relax, AChangeBetweenTheReadAndTheEndOfTheTurnIsNotLost) {
  Program<Polling> p;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    ASSERT_EQ(p.run_random(seed).end, RunEnd::kFinished) << seed;
  }
}

struct Unconcerned {
  Shared<int> ready, work;
  unsigned turns = 0;
  explicit Unconcerned(Scheduler& s) {
    add_task(s, "poller", this, [](Unconcerned& p) {
      while (p.ready.load() == 0) {
        ++p.turns;
        Scheduler::current()->relax();
      }
    });
    add_task(s, "setter", this, [](Unconcerned& p) {
      for (int i = 0; i < 100; ++i) p.work.store(i);
      p.ready.load();
      p.ready.store(1);
    });
  }
};

TEST(Relax, EndsWithAChangeOfWhatWasPolledAndOfNothingElse) {
  Program<Unconcerned> p;
  unsigned most = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    ASSERT_EQ(p.run_random(seed).end, RunEnd::kFinished);
    most = std::max(most, p.state().turns);
  }
  EXPECT_EQ(most, 2u);  // the first turn's accesses are not known
}

struct Quiet {
  Shared<int> word;
  int at_end = 0;
  explicit Quiet(Scheduler& s) {
    add_task(s, "judge", this, [](Quiet& q) {
      Scheduler::current()->wait_for_quiet();
      q.at_end = q.word.peek();
    });
    add_task(
        s, "daemon", this,
        [](Quiet& q) {
          for (int i = 1; i <= 5; ++i) q.word.store(i);
          WaitQueue forever("forever");
          forever.prepare_to_wait();
          forever.schedule();
        },
        true);
  }
};

TEST(Quiet, ComesWhenNobodyElseCanGoOn) {
  Program<Quiet> p;
  p.expect_clean(50, [&](const RunResult&) { EXPECT_EQ(p.state().at_end, 5); });
}

constexpr LockClass kA{"A"};
constexpr LockClass kB{"B"};

struct Crossing {
  Mutex a{kA}, b{kB}, big{kB};
  explicit Crossing(Scheduler& s) {
    add_task(s, "ab", this, [](Crossing& c) {
      FRAME(ab);
      c.a.lock();
      c.b.lock();
      c.b.unlock();
      c.a.unlock();
    });
    add_task(s, "ba", this, [](Crossing& c) {
      FRAME(ba);
      c.big.lock();
      c.a.lock();
      c.a.unlock();
      c.big.unlock();
    });
  }
};

TEST(LockOrder, HasOneSignatureWhicheverTaskClosesTheCycle) {
  Program<Crossing> p;
  std::set<std::string> signatures;
  std::set<std::string> tasks;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    for (const Finding& finding : p.run_random(seed).findings) {
      if (finding.kind != FindingKind::kLockOrder) continue;
      signatures.insert(finding.signature());
      tasks.insert(finding.task_name);
    }
  }
  EXPECT_EQ(signatures, (std::set<std::string>{"lock-order::A+B"}));
  EXPECT_EQ(tasks.size(), 2u);
}

}  // namespace
}  // namespace interleaf
