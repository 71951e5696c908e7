// SPDX-License-Identifier: GPL-2.0-only
// Strategies that learn, against known counts and against random where random is bad.
#include "scheduler/strategies/learning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "scheduler/strategies/obligation.h"
#include "scheduler/strategies/trial.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

using Made = std::unique_ptr<Strategy>;

const RunResult& run_and_tell(World& world, Strategy& strategy, RunOptions options) {
  const RunResult& result = world.run(strategy, options);
  if (auto* learning = dynamic_cast<LearningStrategy*>(&strategy)) learning->ended(result);
  return result;
}

// ---- dfs ----

template <int kTimes>
struct Counting {
  Shared<int> count;
  explicit Counting(Scheduler& s) {
    for (const char* name : {"one", "two"}) {
      add_task(s, name, this, [](Counting& p) {
        for (int i = 0; i < kTimes; ++i) p.count.store(p.count.load() + 1);
      });
    }
  }
};

// All schedules; checks that each comes once and after the smaller ones.
template <typename State>
std::vector<Schedule> enumerate(std::size_t limit, const std::function<void(State&)>& each = {}) {
  Program<State> p;
  const auto dfs = make_dfs();
  std::vector<Schedule> all;
  while (!dfs->exhausted() && all.size() < limit) {
    const RunResult& result = run_and_tell(p.world(), *dfs, {.seed = all.size()});
    EXPECT_TRUE(all.empty() || all.back() < result.schedule);
    all.push_back(result.schedule);
    if (each) each(p.state());
  }
  EXPECT_TRUE(dfs->exhausted());
  EXPECT_FALSE(dfs->cut());
  return all;
}

TEST(Dfs, HasEveryInterleavingOfTwoCountersOnce) {
  EXPECT_EQ(enumerate<Counting<1>>(100).size(), 6u);
  EXPECT_EQ(enumerate<Counting<2>>(100).size(), 70u);
  EXPECT_EQ(enumerate<Counting<3>>(1000).size(), 924u);
  EXPECT_EQ(enumerate<Counting<4>>(20'000).size(), 12'870u);  // C(16, 8)
}

TEST(Dfs, SeesEveryOutcome) {
  std::multiset<int> counts;
  enumerate<Counting<2>>(100, [&](Counting<2>& p) { counts.insert(p.count.peek()); });
  EXPECT_EQ(counts.count(4), 6u);  // no increment inside another: C(4, 2)
  EXPECT_EQ(std::set<int>(counts.begin(), counts.end()), (std::set<int>{2, 3, 4}));
}

struct StoreBuffering {
  Shared<int> x, y;
  explicit StoreBuffering(Scheduler& s) {
    add_task(s, "a", this, [](StoreBuffering& p) {
      p.x.store(1);
      p.y.load();
    });
    add_task(s, "b", this, [](StoreBuffering& p) {
      p.y.store(1);
      p.x.load();
    });
  }
};
TEST(Dfs, HasTheSixInterleavingsOfStoreBuffering) {
  EXPECT_EQ(enumerate<StoreBuffering>(100).size(), 6u);
}

struct Locked {
  static constexpr LockClass kLock{"lock"};
  Mutex lock{kLock};
  Shared<int> word;
  explicit Locked(Scheduler& s) {
    for (const char* name : {"one", "two"}) {
      add_task(s, name, this, [](Locked& p) {
        p.lock.lock();
        p.word.store(p.word.load() + 1);
        p.lock.unlock();
      });
    }
  }
};
TEST(Dfs, HasTheTwoOrdersOfCriticalSections) {
  // A task may also ask for the lock while it is taken; each such moment is a schedule.
  std::set<int> counts;
  EXPECT_LT(enumerate<Locked>(1000, [&](Locked& p) { counts.insert(p.word.peek()); }).size(), 20u);
  EXPECT_EQ(counts, std::set<int>{2});
}

struct Values {
  Shared<int> word;
  static inline std::set<std::pair<unsigned, unsigned>> seen;
  explicit Values(Scheduler& s) {
    add_task(s, "one", this, [](Values& p) {
      const unsigned first = Scheduler::current()->choose("first", 3);
      const unsigned second = first == 1 ? Scheduler::current()->choose("second", 2) : 9;
      p.word.store(static_cast<int>(10 * first + second));
    });
  }
};
TEST(Dfs, TriesEveryValueOfDataChoices) {
  std::vector<int> words;
  EXPECT_EQ(enumerate<Values>(100, [&](Values& p) { words.push_back(p.word.peek()); }).size(), 4u);
  EXPECT_EQ(words, (std::vector<int>{9, 10, 11, 29}));
}

struct Endless {
  Shared<int> word;
  explicit Endless(Scheduler& s) {
    for (const char* name : {"one", "two"}) {
      add_task(s, name, this, [](Endless& p) {
        while (p.word.load() == 0) {
        }
      });
    }
  }
};
TEST(Dfs, SaysThatARunWasCutOff) {
  Program<Endless> p;
  const auto dfs = make_dfs();
  run_and_tell(p.world(), *dfs, {.steps_max = 20});
  EXPECT_TRUE(dfs->cut());
  EXPECT_FALSE(dfs->exhausted());
}

// ---- what learns ----

// The bug is a read that sees a write which is soon overwritten, twice, by a task that has much
// else to do: nearly every schedule has the writer done by then.
struct BriefWrites {
  static constexpr int kElse = 30;
  Shared<int> left, right, own;
  int seen = 0;
  static void brief(Shared<int>& word) {
    FRAME(brief);
    word.store(1);
    word.store(2);
  }
  explicit BriefWrites(Scheduler& s) {
    add_task(s, "writer", this, [](BriefWrites& p) {
      brief(p.left);
      brief(p.right);
    });
    add_task(s, "reader", this, [](BriefWrites& p) {
      FRAME(read);
      for (int i = 0; i < kElse; ++i) p.own.load();
      const int first = p.left.load();
      for (int i = 0; i < kElse; ++i) p.own.load();
      const int second = p.right.load();
      p.seen = 10 * first + second;
    });
  }
  bool bug() const { return seen == 11; }
};

// A combination lock: each right value, which is there for a moment only, opens the next function.
struct Combination {
  static constexpr int kDigits = 7;
  Shared<int> digits[kDigits];
  bool open = false;
  static bool matches(Combination& p, int digit) { return p.digits[digit].load() == 1; }
  static bool one(Combination& p) {
    FRAME(one);
    return matches(p, 0) && two(p);
  }
  static bool two(Combination& p) {
    FRAME(two);
    return matches(p, 1) && three(p);
  }
  static bool three(Combination& p) {
    FRAME(three);
    return matches(p, 2) && four(p);
  }
  static bool four(Combination& p) {
    FRAME(four);
    return matches(p, 3) && five(p);
  }
  static bool five(Combination& p) {
    FRAME(five);
    return matches(p, 4) && six(p);
  }
  static bool six(Combination& p) {
    FRAME(six);
    return matches(p, 5) && matches(p, 6);
  }
  explicit Combination(Scheduler& s) {
    add_task(s, "turn", this, [](Combination& p) {
      for (Shared<int>& digit : p.digits) {
        for (int value = 1; value <= 3; ++value) digit.store(value);
      }
    });
    add_task(s, "try", this, [](Combination& p) { p.open = one(p); });
  }
  bool bug() const { return open; }
};

// Runs until the bug, in campaigns of seeds from `seed`; `limit` if it was not found.
template <typename State>
unsigned runs_to_bug(Program<State>& p, Strategy& strategy, std::uint64_t seed, unsigned limit) {
  for (unsigned run = 1; run < limit; ++run) {
    run_and_tell(p.world(), strategy, {.seed = seed + run});
    if (p.state().bug()) return run;
  }
  return limit;
}
// The median over `campaigns`.
template <typename State>
unsigned median_runs(const std::function<Made(World&)>& make, unsigned campaigns, unsigned limit) {
  Program<State> p;
  std::vector<unsigned> runs;
  for (unsigned i = 0; i < campaigns; ++i) {
    const Made strategy = make(p.world());
    runs.push_back(runs_to_bug(p, *strategy, i * 1'000'003ull, limit));
  }
  std::sort(runs.begin(), runs.end());
  return runs[campaigns / 2];
}
Made random_of(World&) { return make_random(); }
Made pos_of(World&) { return make_pos(); }
Made rff_of(World& world) { return make_rff(predict_reads_from(world)); }
Made feedback_of(World&) { return make_feedback(); }

TEST(Rff, FindsAReadOfABriefWriteSoonerThanRandomAndPos) {
  const unsigned rff = median_runs<BriefWrites>(rff_of, 11, 3000);
  EXPECT_LE(rff, 30u);
  EXPECT_GE(median_runs<BriefWrites>(pos_of, 11, 3000), 20 * rff);
  EXPECT_EQ(median_runs<BriefWrites>(random_of, 5, 3000), 3000u);
}

TEST(Feedback, OpensACombinationLockSoonerThanRandomAndPos) {
  const unsigned feedback = median_runs<Combination>(feedback_of, 11, 20'000);
  EXPECT_LE(feedback, 2000u);
  EXPECT_EQ(median_runs<Combination>(pos_of, 5, 20'000), 20'000u);
  EXPECT_EQ(median_runs<Combination>(random_of, 5, 20'000), 20'000u);
}

TEST(Learning, TheSameSeedsInTheSameOrderGiveTheSameSchedulesInAnyWorld) {
  const auto setup = [](Scheduler& s) { s.set_root(new BriefWrites(s)); };
  World first(0, setup), second(1, setup);
  for (const auto& make : {rff_of, feedback_of}) {
    const Made one = make(first);
    std::vector<Schedule> schedules;
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      schedules.push_back(run_and_tell(first, *one, {.seed = seed}).schedule);
    }
    const Made two = make(second);
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      ASSERT_EQ(run_and_tell(second, *two, {.seed = seed}).schedule, schedules[seed]) << seed;
    }
    EXPECT_EQ(first.arena().allocations(), second.arena().allocations());
    EXPECT_GT(std::set<Schedule>(schedules.begin(), schedules.end()).size(), 100u);
  }
}

// A hash of the schedules of 300 runs: the same on every machine and in every build.
TEST(Learning, GivesTheseBytesEverywhere) {
  const auto bytes = [](const std::function<Made(World&)>& make) {
    Program<Combination> p;
    const Made strategy = make(p.world());
    std::uint64_t hash = 0;
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      for (const std::uint8_t byte : run_and_tell(p.world(), *strategy, {.seed = seed}).schedule) {
        hash = (hash ^ byte) * 0x100000001b3;
      }
    }
    return hash;
  };
  EXPECT_EQ(bytes(rff_of), 11369197815333147250u);
  EXPECT_EQ(bytes(feedback_of), 438527672469181109u);
}

// Two tasks poll, without saying so, for what a third writes.
struct Polled {
  Shared<int> ready;
  explicit Polled(Scheduler& s) {
    for (const char* name : {"poll", "poll too"}) {
      add_task(s, name, this, [](Polled& p) {
        FRAME(poll);
        while (p.ready.load() != 20) {
        }
      });
    }
    add_task(s, "work", this, [](Polled& p) {
      FRAME(work);
      for (int i = 1; i <= 20; ++i) p.ready.store(i);
    });
  }
};
TEST(Learning, PollingTasksDoNotStarveTheOneTheyWaitFor) {
  Program<Polled> p;
  for (const auto& make : {rff_of, feedback_of}) {
    const Made strategy = make(p.world());
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      const RunResult& result =
          run_and_tell(p.world(), *strategy, {.seed = seed, .steps_max = 100'000});
      ASSERT_EQ(result.end, RunEnd::kFinished) << seed;
    }
  }
}

TEST(ReadsFrom, PredictsThePairsOfASequentialRun) {
  {
    Program<BriefWrites> p;
    // Of each word: the read after either write. Nobody else touches `own`.
    EXPECT_EQ(predict_reads_from(p.world()).size(), 4u);
    EXPECT_EQ(predict_reads_from(p.world(), {}, 3).size(), 3u);
  }
  Program<Counting<1>> p;
  // One line each: the other's store.
  EXPECT_EQ(predict_reads_from(p.world()).size(), 1u);
}

// ---- obligations, state by state ----

class OneObligation : public testing::Test {
 protected:
  static constexpr AbstractEvent kWrite = 1, kRead = 2, kOther = 3;
  static constexpr TaskId kWriter = 0, kReader = 1, kThird = 2;
  using Advice = ObligationMachine::Advice;
  static Access access(AbstractEvent event, std::uint32_t object = 7) {
    Access access;
    access.object = object;
    access.op = event == kRead ? Op::kRead : Op::kWrite;
    return access;
  }
  static TaskId task_of(AbstractEvent event) {
    return event == kRead ? kReader : event == kWrite ? kWriter : kThird;
  }
  // The advice on write, read and other write: "+-." take, avoid, neutral.
  static std::string advice(const ObligationMachine& machine, std::uint32_t object = 7) {
    std::string text;
    for (const AbstractEvent event : {kWrite, kRead, kOther}) {
      text += ".+-"[static_cast<int>(machine.advise(task_of(event), event, access(event, object)))];
    }
    return text;
  }
  static void perform(ObligationMachine& machine, AbstractEvent event, std::uint32_t object = 7) {
    machine.performed(task_of(event), event, access(event, object));
  }
};

TEST_F(OneObligation, ToSeeAWriteWaitsForItAndHoldsOthersBack) {
  ObligationMachine machine({{kWrite, kRead}, true});
  EXPECT_EQ(advice(machine), "+-.");
  perform(machine, kRead);
  EXPECT_EQ(advice(machine), "+-.");
  perform(machine, kWrite);
  EXPECT_EQ(advice(machine), ".+-");
  EXPECT_EQ(advice(machine, 8), "...");
  EXPECT_EQ(machine.advise(kWriter, kRead, access(kRead)), Advice::kNeutral);  // its own
  perform(machine, kOther, 8);
  EXPECT_EQ(advice(machine), ".+-");
  perform(machine, kOther);
  EXPECT_EQ(advice(machine), "+-.");
  perform(machine, kWrite);
  perform(machine, kRead);
  EXPECT_EQ(advice(machine), "...");
}

TEST_F(OneObligation, NotToSeeAWriteWantsAnotherInBetween) {
  ObligationMachine machine({{kWrite, kRead}, false});
  EXPECT_EQ(advice(machine), "...");
  perform(machine, kWrite);
  EXPECT_EQ(advice(machine), ".-+");
  perform(machine, kOther);
  EXPECT_EQ(advice(machine), "-+.");
  perform(machine, kWrite);
  EXPECT_EQ(advice(machine), ".-+");
  perform(machine, kOther);
  perform(machine, kRead);
  EXPECT_EQ(advice(machine), "...");
}

}  // namespace
}  // namespace interleaf
