// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "scheduler/strategies/pct.h"
#include "scheduler/strategies/twice.h"
#include "scheduler/strategy.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/wait_queue.h"
#include "scheduler/task_mask.h"
#include "tests/litmus/counters.h"
#include "tests/litmus/programs.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kMutex{"mutex"};

// Two makers and a taker over a buffer of one slot; a fault may be injected.
struct Buffer {
  Mutex mutex{kMutex};
  WaitQueue changed{"the buffer"};
  Shared<int> items, faults;
  static void add(Buffer& b, int delta) {
    FRAME(add);
    for (;;) {
      b.changed.wait_event([&] {
        const int after = b.items.load() + delta;
        return after == 0 || after == 1;
      });
      b.mutex.lock();
      const int after = b.items.load() + delta;
      const bool done = after == 0 || after == 1;
      if (done) b.items.store(after);
      b.mutex.unlock();
      if (done) break;
    }
    b.changed.wake_up_all();
  }
  explicit Buffer(Scheduler& s) {
    for (const char* name : {"one", "two"}) {
      add_task(s, name, this, [](Buffer& b) {
        FRAME(make);
        if (Scheduler::current()->choose("fault", 3) == 2) b.faults.store(1);
        add(b, 1);
      });
    }
    add_task(s, "taker", this, [](Buffer& b) {
      FRAME(take);
      add(b, -1);
      add(b, -1);
    });
  }
};

TEST(Strategies, ASeedMeansOneScheduleAndOneDigest) {
  for (const StrategyInfo& info : strategies()) {
    std::vector<Schedule> schedules;
    std::vector<std::uint64_t> digests;
    for (int round = 0; round < 2; ++round) {
      Program<Buffer> p;
      const auto strategy = info.make();
      for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const RunResult& result = p.run(*strategy, {.seed = seed});
        ASSERT_TRUE(result.clean()) << info.name << " seed " << seed;
        if (round == 0) {
          schedules.push_back(result.schedule);
          digests.push_back(result.digest);
        }
        EXPECT_EQ(result.schedule, schedules[seed]) << info.name << " seed " << seed;
        EXPECT_EQ(result.digest, digests[seed]) << info.name << " seed " << seed;
      }
    }
  }
}

TEST(Strategies, ReplayOfAnyScheduleGivesTheSameRun) {
  Program<Buffer> p;
  for (const StrategyInfo& info : strategies()) {
    const auto strategy = info.make();
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const RunResult run = p.run(*strategy, {.seed = seed});
      const auto replay = make_replay(run.schedule);
      const RunResult& again = p.run(*replay);
      ASSERT_FALSE(replay->diverged()) << info.name << " seed " << seed;
      ASSERT_EQ(replay->consumed(), run.schedule.size());
      ASSERT_EQ(again.digest, run.digest) << info.name << " seed " << seed;
      ASSERT_EQ(again.schedule, run.schedule) << info.name << " seed " << seed;
    }
  }
}

TEST(Strategies, AreFoundByNameAndByNoOther) {
  std::set<std::string_view> names;
  for (const StrategyInfo& info : strategies()) {
    EXPECT_EQ(find_strategy(info.name), &info);
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
  }
  EXPECT_EQ(find_strategy("no-such-strategy"), nullptr);
}

std::string run_as_text(Program<Buffer>& p, std::string_view strategy, std::uint64_t seed) {
  const RunResult& r = p.run(*find_strategy(strategy)->make(), {.seed = seed});
  std::string schedule;
  for (std::uint8_t byte : r.schedule) {
    if (byte >= kDataChoice) schedule += '+';
    schedule += std::to_string(byte % kDataChoice);
  }
  char digest[20];
  std::snprintf(digest, sizeof(digest), "%016llx", static_cast<unsigned long long>(r.digest));
  return schedule + ' ' + digest;
}
// Another machine or build type that gives other bytes makes these red.
TEST(Strategies, GiveTheseBytesEverywhere) {
  Program<Buffer> p;
  EXPECT_EQ(run_as_text(p, "random", 1), "21+1120+0121111222000000200002220 ce43dfbf9c8e95cf");
  EXPECT_EQ(run_as_text(p, "random", 2), "0+202201+0121012202200000222 99a2ff2e47b88edd");
  EXPECT_EQ(run_as_text(p, "random", 0xffffffffffffffff),
            "1+2121212110+00002020002202 647a1c4d3adf9ebe");
  EXPECT_EQ(run_as_text(p, "round-robin", 1), "1+020+012012012020202020020202 c73bcda5c2f281bf");
  EXPECT_EQ(run_as_text(p, "keep-running", 0), "0+00000001+0111222 0e8710adfa2ca6da");
}

TEST(Random, PicksTheNthTaskOfEverySet) {
  for (TaskMask tasks = 1; tasks < 1u << 12; ++tasks) {
    std::uint32_t index = 0;
    for (TaskId id = 0; id < 12; ++id) {
      if ((tasks & task_bit(id)) == 0) continue;
      ASSERT_EQ(nth_task(tasks, index++), id) << tasks;
    }
    ASSERT_EQ(count_tasks(tasks), index);
  }
}

TEST(Random, ReachesManySchedules) {
  Program<Buffer> p;
  std::set<Schedule> seen;
  for (std::uint64_t seed = 0; seed < 500; ++seed) seen.insert(p.run_random(seed).schedule);
  EXPECT_GT(seen.size(), 490u);
}

TEST(KeepRunning, MakesNoPreemption) {
  Program<Buffer> p;
  EXPECT_EQ(p.run_straight().preemptions, 0u);
}

TEST(Replay, GoesOnWithTheInnerStrategyAtTheEndOfTheSchedule) {
  Program<Buffer> p;
  const RunResult run = p.run_random(3);
  for (std::size_t length = 0; length <= run.schedule.size(); ++length) {
    const Schedule prefix(run.schedule.begin(), run.schedule.begin() + static_cast<long>(length));
    const auto replay = make_replay(prefix, make_round_robin());
    const RunResult& again = p.run(*replay);
    EXPECT_FALSE(replay->diverged());
    EXPECT_EQ(replay->consumed(), length);
    EXPECT_EQ(Schedule(again.schedule.begin(), again.schedule.begin() + static_cast<long>(length)),
              prefix);
  }
}

TEST(Replay, ReportsWhereAScheduleCannotBeFollowed) {
  Program<Buffer> p;
  const RunResult run = p.run_random(3);
  const auto data = std::find_if(run.schedule.begin(), run.schedule.end(),
                                 [](std::uint8_t byte) { return byte >= kDataChoice; });
  const auto at = static_cast<std::size_t>(data - run.schedule.begin());
  const std::uint8_t impossible[][2] = {{0, 9},
                                        {0, kDataChoice},
                                        {static_cast<std::uint8_t>(at), 0},
                                        {static_cast<std::uint8_t>(at), kDataChoice + 3}};
  for (const auto& [index, byte] : impossible) {
    Schedule wrong = run.schedule;
    wrong[index] = byte;
    const auto replay = make_replay(wrong);
    EXPECT_EQ(p.run(*replay).end, RunEnd::kFinished);
    EXPECT_TRUE(replay->diverged());
    EXPECT_EQ(replay->diverged_at(), index);
  }
}

// Every task enters two functions; each notes its letter at its access.
struct Letters {
  Shared<int> word;
  char order[16] = {};
  unsigned count = 0;
  void access(char letter) {
    word.load();
    order[count++] = letter;
  }
  static void first(Letters& l, char letter) {
    FRAME(first);
    l.access(letter);
    l.access(letter);
  }
  static void second(Letters& l, char letter) {
    FRAME(second);
    l.access(letter);
  }
  explicit Letters(Scheduler& s) {
    add_task(s, "a", this, [](Letters& l) {
      first(l, 'a');
      second(l, 'A');
    });
    add_task(s, "b", this, [](Letters& l) {
      first(l, 'b');
      second(l, 'B');
    });
    add_task(s, "c", this, [](Letters& l) {
      first(l, 'c');
      second(l, 'C');
    });
  }
};
TEST(Table, RowsOrderEntriesOfFunctions) {
  Program<Letters> p;
  p.run_table({});
  EXPECT_STREQ(p.state().order, "aaAbbBccC");
  p.run_table({{1, "first"}, {0, "first"}, {0, "second"}});
  EXPECT_STREQ(p.state().order, "bbBaaAccC");
  p.run_table({{1, "first"}, {0, "first"}, {1, "second"}, {0, "second"}});
  EXPECT_STREQ(p.state().order, "bbaaBAccC");
  p.run_table({{2, "second"}, {0, "second"}, {1, "second"}});
  EXPECT_STREQ(p.state().order, "ccCaaAbbB");
}

TEST(Table, CountsARowThatHappensWhileOneTaskAloneIsRunnable) {
  Program<Letters> p;
  // "a" and "b" have ended when "c" gets to its second function.
  p.run_table({{0, "second"}, {1, "second"}, {2, "first"}, {2, "second"}});
  EXPECT_STREQ(p.state().order, "aaAbbBccC");
}

TEST(Table, ReportsThatItIsStuckAndHowFarItCame) {
  Program<Letters> p;
  const auto table = make_table({{0, "first"}, {1, "third"}, {0, "second"}});
  const RunResult& result = p.run(*table);
  EXPECT_EQ(result.end, RunEnd::kFinished);
  EXPECT_TRUE(table->stuck());
  EXPECT_EQ(table->satisfied(), 1u);
  EXPECT_EQ(table->rows().size(), 3u);
}

TEST(Table, CountsTwoFunctionsThatAreEnteredForOneAccess) {
  struct Nested {
    Shared<int> word;
    static void inner(Nested& n) {
      FRAME(inner);
      n.word.load();
    }
    static void outer(Nested& n) {
      FRAME(outer);
      inner(n);
    }
    explicit Nested(Scheduler& s) {
      add_task(s, "a", this, [](Nested& n) { outer(n); });
      add_task(s, "b", this, [](Nested& n) { outer(n); });
    }
  };
  Program<Nested> p;
  p.run_table({{0, "outer"}, {0, "inner"}, {1, "outer"}, {1, "inner"}});
  p.run_table({{1, "outer"}, {1, "inner"}, {0, "inner"}});
}

int g_outside = 0;  // what a program under test must not have
struct Nondeterministic {
  Shared<int> word;
  explicit Nondeterministic(Scheduler& s) {
    for (const char* name : {"a", "b"}) {
      add_task(s, name, this, [](Nondeterministic& n) {
        n.word.load();
        if (++g_outside % 3 == 0) n.word.store(1);
      });
    }
  }
};
TEST(Twice, FindsThatAProgramDependsOnStateOutsideOfTheWorld) {
  Program<Nondeterministic> p;
  const auto random = make_random();
  int different = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    different += run_twice(p.world(), *random, {.seed = seed}).difference.has_value();
  }
  EXPECT_GT(different, 5);
}

TEST(Twice, FindsNoDifferenceInAProgramThatIsDeterministic) {
  Program<Buffer> p;
  for (const StrategyInfo& info : strategies()) {
    const auto strategy = info.make();
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      EXPECT_EQ(run_twice(p.world(), *strategy, {.seed = seed}).difference, std::nullopt);
    }
  }
}

// The same strategy, asked for every choice.
class Asked final : public Strategy {
 public:
  explicit Asked(Strategy& inner) : inner_(inner) {}
  void begin(std::uint64_t seed) override { inner_.begin(seed); }
  TaskId pick(const Scheduler& s, TaskMask runnable) override { return inner_.pick(s, runnable); }
  unsigned pick_value(const Scheduler& s, const char* kind, unsigned count) override {
    return inner_.pick_value(s, kind, count);
  }

 private:
  Strategy& inner_;
};

std::unique_ptr<Strategy> make_pct_of_few() { return make_pct(kDrawnPerRun, 16); }

// Two tasks change what a third one polls, also while it looks: it may relax and still go on.
struct Polling {
  Shared<int> count, other;
  void run(unsigned self) {
    for (unsigned i = 0; i < 6; ++i) {
      if (self != 0) {
        count.store(static_cast<int>(i));
      } else if (count.load() + other.load() < 5) {
        Scheduler::current()->relax();
      }
    }
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < 3; ++i) add_numbered_task<&Polling::run>(s, "t", this, i);
  }
};

TEST(Strategies, ChoicesThatAreCountedDownAreThoseThatWouldBePicked) {
  std::vector<JudgedProgram> programs = judged_programs();
  programs.push_back({cnt(2, 6000), {}});  // one task alone for more than a strategy's patience
  programs.push_back({litmus_program<Polling>("polling"), {}});
  std::uint64_t counted_down = 0;
  for (const JudgedProgram& judged : programs) {
    World world(0, judged.program.setup);
    for (const auto make : {&make_pct_of_few, &make_keep_running}) {
      const auto strategy = make();
      Asked asked(*strategy);
      const auto* source = dynamic_cast<const PctSource*>(strategy.get());
      const auto decisions = [&] { return source == nullptr ? 0 : source->pct_run()->decisions; };
      for (std::uint64_t seed = 0; seed < 200; ++seed) {
        const RunOptions options{.seed = seed, .steps_max = 20'000};
        const RunResult one = world.run(asked, options);
        const std::uint64_t one_decisions = decisions();
        const RunResult& other = world.run(*strategy, options);
        ASSERT_EQ(one.schedule, other.schedule) << judged.program.name << ", seed " << seed;
        EXPECT_EQ(one.digest, other.digest);
        EXPECT_EQ(one_decisions, decisions());
        counted_down += strategy->stay()->among != 0;
      }
    }
  }
  EXPECT_GT(counted_down, 0u);
}

}  // namespace
}  // namespace interleaf
