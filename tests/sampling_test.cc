// SPDX-License-Identifier: GPL-2.0-only
// The sampling strategies against what is known of their distributions. Seeds are fixed, so that a
// limit is met or not met for good.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "scheduler/dependence.h"
#include "scheduler/strategies/trial.h"
#include "scheduler/strategy.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/thread.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

// Every task accesses the words that its text spells: upper case writes `shared`, lower case reads
// a word of its own. `order` is what happened.
struct Spelled {
  static inline const char* texts[3];  // of the next World
  Shared<int> shared;
  Shared<int> own[3];
  char order[64] = {};
  unsigned count = 0;
  static void spell(Spelled& p, unsigned task) {
    for (const char* letter = texts[task]; *letter != 0; ++letter) {
      if (*letter < 'a') {
        p.shared.store(1);
      } else {
        p.own[task].load();
      }
      p.order[p.count++] = *letter;
    }
  }
  explicit Spelled(Scheduler& s) {
    if (texts[0] != nullptr) add_task(s, "0", this, [](Spelled& p) { spell(p, 0); });
    if (texts[1] != nullptr) add_task(s, "1", this, [](Spelled& p) { spell(p, 1); });
    if (texts[2] != nullptr) add_task(s, "2", this, [](Spelled& p) { spell(p, 2); });
  }
};

class Sampled {
 public:
  explicit Sampled(const char* first, const char* second, const char* third = nullptr) {
    const char* texts[] = {first, second, third};
    std::copy(texts, texts + 3, Spelled::texts);
    program_ = std::make_unique<Program<Spelled>>();
  }
  Trial trial() { return run_trial(program_->world()); }
  std::uint32_t learnt(unsigned runs) { return learn_decisions(program_->world(), {}, runs); }
  const Trial::Object& shared(const Trial& trial) {
    const ObjectPlace place = object_place(program_->world().arena(), &program_->state().shared);
    for (const Trial::Object& object : trial.objects) {
      if (object.place == place) return object;
    }
    throw std::logic_error("the trial has not seen the shared word");
  }
  // How often each order came up; of the upper-case letters alone if `upper`.
  std::map<std::string, unsigned> orders(Strategy& strategy, unsigned runs, bool upper = false) {
    std::map<std::string, unsigned> seen;
    for (std::uint64_t seed = 0; seed < runs; ++seed) {
      EXPECT_TRUE(program_->run(strategy, {.seed = seed}).clean()) << "seed " << seed;
      std::string order = program_->state().order;
      if (upper) std::erase_if(order, [](char letter) { return letter >= 'a'; });
      ++seen[order];
    }
    return seen;
  }
  // The share of runs in which the order has the property.
  double share(Strategy& strategy, unsigned runs, bool (*property)(const std::string&)) {
    unsigned hits = 0;
    for (const auto& [order, times] : orders(strategy, runs)) hits += property(order) ? times : 0;
    return static_cast<double>(hits) / runs;
  }

 private:
  std::unique_ptr<Program<Spelled>> program_;
};

// Chi-square per degree of freedom against the uniform distribution over `classes`.
double unevenness(const std::map<std::string, unsigned>& seen, unsigned runs, unsigned classes) {
  const double expected = static_cast<double>(runs) / classes;
  double sum = expected * static_cast<double>(classes - seen.size());
  for (const auto& [order, times] : seen) sum += (times - expected) * (times - expected) / expected;
  return sum / (classes - 1);
}

TEST(Pct, FindsABugOfDepthOneAsOftenAsItsBound) {
  Sampled p("aaaaaa", "B");
  // "B" first: n = 2.
  const double rate =
      p.share(*make_pct(1, 6), 40'000, [](const std::string& o) { return o[0] == 'B'; });
  EXPECT_NEAR(rate, 0.5, 0.01);
}

TEST(Pct, FindsABugOfDepthTwoAsOftenAsItsBound) {
  Sampled p("aaaaaaaaaaaa", "B");
  // "B" between two given ones: n = 2, k = 12; four standard deviations are 0.004.
  const auto between = [](const std::string& o) { return o[5] == 'B'; };
  EXPECT_NEAR(p.share(*make_pct(2, 12), 40'000, between), 1.0 / 24, 0.004);
  // More points than a run has are wasted, no more than that.
  EXPECT_NEAR(p.share(*make_pct(2, 24), 40'000, between), 1.0 / 48, 0.003);
}

TEST(Pct, FindsABugOfDepthThreeInTheOrderThatNeedsUnsortedChanges) {
  // The two tasks change places twice; n = 2, k = 7.
  Sampled p("aaaa", "bbbb");
  const double rate =
      p.share(*make_pct(3, 7), 40'000, [](const std::string& o) { return o == "aabbaabb"; });
  EXPECT_GE(rate, 1.0 / (2 * 7 * 7) - 0.002);
}

TEST(Urw, IsUniformOverInterleavings) {
  constexpr unsigned kRuns = 42'000;
  Sampled p("abc", "de", "fg");
  const auto seen = p.orders(*make_urw(p.trial().events), kRuns);
  EXPECT_EQ(seen.size(), 210u);
  EXPECT_NEAR(unevenness(seen, kRuns, 210), 1, 0.4);
  EXPECT_GT(unevenness(p.orders(*make_random(), kRuns), kRuns, 210), 20);
}

TEST(Urw, GoesOnWhereTheCountsWereWrong) {
  Sampled p("abc", "de", "fg");
  EXPECT_EQ(p.orders(*make_urw({2, 1}), 20'000).size(), 210u);
}

TEST(Surw, IsUniformOverTheInterestingEventsAlone) {
  constexpr unsigned kRuns = 18'000;
  Sampled p("aaaAaA", "BB", "cCccccC");
  const Trial trial = p.trial();
  const Trial::Object& shared = p.shared(trial);
  EXPECT_EQ(shared.events, (std::vector<std::uint32_t>{2, 2, 2}));
  const auto seen = p.orders(*make_surw({shared.place}, shared.events), kRuns, true);
  EXPECT_EQ(seen.size(), 90u);
  EXPECT_NEAR(unevenness(seen, kRuns, 90), 1, 0.6);
  EXPECT_GT(unevenness(p.orders(*make_random(), kRuns, true), kRuns, 90), 20);
}

TEST(Surw, GoesOnWhereTheCountsWereWrong) {
  Sampled p("aA", "BB", "cC");
  const Trial trial = p.trial();
  const auto surw = make_surw({p.shared(trial).place}, {0, 7});
  EXPECT_EQ(p.orders(*surw, 5'000, true).size(), 12u);
}

TEST(Surw, DrawsTheOnlyObjectThatTasksShare) {
  constexpr unsigned kRuns = 18'000;
  Sampled p("aaaAaA", "BB", "cCccccC");
  for (const SurwScope scope : {SurwScope::kObject, SurwScope::kKind}) {
    const auto seen = p.orders(*make_surw(p.trial(), scope), kRuns, true);
    EXPECT_EQ(seen.size(), 90u);
    EXPECT_NEAR(unevenness(seen, kRuns, 90), 1, 0.6);
  }
}

TEST(Surw, GoesOnWhereNothingIsShared) {
  Sampled p("aa", "bb");
  EXPECT_EQ(p.orders(*make_surw(p.trial(), SurwScope::kObject), 2000).size(), 6u);
}

// Each task writes two objects of one type, `first` and then `second`.
struct TwoOfAKind {
  static constexpr BlockType kType{"word"};
  Shared<int>* words[2];
  char order[8] = {};
  unsigned count = 0;
  explicit TwoOfAKind(Scheduler& s) {
    for (Shared<int>*& word : words) {
      word = new (s.arena().allocate(sizeof(Shared<int>), 16, &kType)) Shared<int>();
    }
    for (const char* name : {"one", "two"}) {
      add_task(s, name, this, [](TwoOfAKind& p) {
        for (Shared<int>* word : p.words) {
          word->store(1);
          p.order[p.count++] = static_cast<char>('0' + Scheduler::current()->current_id());
        }
      });
    }
  }
};
TEST(Surw, IsUniformOverTheOrdersAtAllObjectsOfAKind) {
  constexpr unsigned kRuns = 6'000;
  Program<TwoOfAKind> p;
  const auto orders = [&](SurwScope scope) {
    const auto surw = make_surw(run_trial(p.world()), scope);
    std::map<std::string, unsigned> seen;
    for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
      p.run(*surw, {.seed = seed});
      ++seen[p.state().order];
    }
    return unevenness(seen, kRuns, 6);
  };
  EXPECT_LT(orders(SurwScope::kKind), 3);
  EXPECT_GT(orders(SurwScope::kObject), 20);
}

// A task that starts a second one, which starts a third; and one that is there from the beginning.
// Capitals write `shared`, as above. With `kJoins` the first waits for the second.
template <bool kJoins>
struct Starting {
  Shared<int> shared, own[4];
  Thread second, third;
  char order[16] = {};
  unsigned count = 0;
  void write(char letter) {
    shared.store(1);
    order[count++] = letter;
  }
  explicit Starting(Scheduler& s)
      : second(
            s, "second", [](void* p) { static_cast<Starting*>(p)->run_second(); }, this),
        third(
            s, "third", [](void* p) { static_cast<Starting*>(p)->run_third(); }, this) {
    add_task(s, "first", this, [](Starting& p) {
      p.write('A');
      p.second.start();
      p.own[0].load();
      p.write('A');
      if (kJoins) p.second.join();
    });
    add_task(s, "fourth", this, [](Starting& p) {
      p.own[3].load();
      p.write('D');
    });
  }
  void run_second() {
    write('B');
    third.start();
    write('B');
  }
  void run_third() {
    own[2].load();
    write('C');
  }
};

// How many interleavings of chains there are, where chain `child` begins after event `after` of
// chain `parent`: by counting them one event at a time.
struct Chain {
  unsigned length;
  int parent = -1;
  unsigned after = 0;
};
std::uint64_t interleavings(const std::vector<Chain>& chains, std::vector<unsigned> done) {
  std::uint64_t count = 0;
  bool ended = true;
  for (std::size_t i = 0; i < chains.size(); ++i) {
    const Chain& chain = chains[i];
    if (done[i] == chain.length) continue;
    ended = false;
    if (chain.parent >= 0 && done[static_cast<std::size_t>(chain.parent)] < chain.after) continue;
    ++done[i];
    count += interleavings(chains, done);
    --done[i];
  }
  return ended ? 1 : count;
}

// How often each of the possible choices of tasks came up.
template <typename State>
std::map<std::string, unsigned> schedules(Program<State>& p, Strategy& strategy, unsigned runs) {
  std::map<std::string, unsigned> seen;
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    const RunResult& result = p.run(strategy, {.seed = seed});
    EXPECT_TRUE(result.clean()) << text_of(result);
    ++seen[{result.schedule.begin(), result.schedule.end()}];
  }
  return seen;
}

TEST(Trial, KnowsWhoStartedWhom) {
  Program<Starting<true>> p;
  const Trial trial = run_trial(p.world());
  // By ids: second, third, first, fourth.
  EXPECT_EQ(trial.started_by, (std::vector<TaskId>{2, 0, kNoTask, kNoTask}));
  EXPECT_EQ(trial.events, (std::vector<std::uint32_t>{5, 4, 5, 2}));
}

// The same with next to nothing in them: starts, begins and ends are events too.
struct StartingBriefly {
  Shared<int> own[2];
  Thread second, third;
  explicit StartingBriefly(Scheduler& s)
      : second(
            s, "second", [](void* p) { static_cast<StartingBriefly*>(p)->third.start(); }, this),
        third(
            s, "third", [](void*) {}, this) {
    add_task(s, "first", this, [](StartingBriefly& p) {
      p.second.start();
      p.own[0].load();
    });
    add_task(s, "fourth", this, [](StartingBriefly& p) {
      p.own[1].load();
      p.own[1].load();
    });
  }
};

TEST(Urw, IsUniformOverInterleavingsOfTasksThatStartOthers) {
  const std::vector<Chain> chains = {{2}, {3, 0, 1}, {2, 1, 2}, {2}};
  const auto count = static_cast<unsigned>(interleavings(chains, {0, 0, 0, 0}));
  ASSERT_EQ(count, 648u);
  const unsigned runs = 50 * count;
  Program<StartingBriefly> p;
  const Trial trial = run_trial(p.world());
  const auto seen = schedules(p, *make_urw(trial), runs);
  EXPECT_EQ(seen.size(), count);
  EXPECT_NEAR(unevenness(seen, runs, count), 1, 0.2);
  // Each task for itself: those that start others are late.
  EXPECT_GT(unevenness(schedules(p, *make_urw(trial.events), runs), runs, count), 3);
}

TEST(Urw, ComesToTheEndWhereTasksWaitForThoseTheyStarted) {
  Program<Starting<true>> p;
  const auto seen = schedules(p, *make_urw(run_trial(p.world())), 2000);
  EXPECT_GT(seen.size(), 500u);
}

// The writes alone: A (A | B (B | C)) | D.
TEST(Surw, IsUniformOverTheInterestingEventsOfTasksThatStartOthers) {
  const std::vector<Chain> chains = {{2}, {2, 0, 1}, {1, 1, 1}, {1}};
  const auto count = static_cast<unsigned>(interleavings(chains, {0, 0, 0, 0}));
  ASSERT_EQ(count, 48u);
  constexpr unsigned kRuns = 9'600;
  Program<Starting<false>> p;
  const Trial trial = run_trial(p.world());
  const ObjectPlace place = object_place(p.world().arena(), &p.state().shared);
  const auto at = std::find_if(trial.objects.begin(), trial.objects.end(),
                               [&](const Trial::Object& object) { return object.place == place; });
  ASSERT_NE(at, trial.objects.end());
  EXPECT_EQ(at->events, (std::vector<std::uint32_t>{2, 1, 2, 1}));
  const auto orders = [&](Strategy& strategy) {
    std::map<std::string, unsigned> seen;
    for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
      EXPECT_TRUE(p.run(strategy, {.seed = seed}).clean());
      ++seen[p.state().order];
    }
    return seen;
  };
  const auto seen = orders(*make_surw({place}, at->events, trial.started_by));
  EXPECT_EQ(seen.size(), count);
  EXPECT_NEAR(unevenness(seen, kRuns, count), 1, 0.5);
  EXPECT_GT(unevenness(orders(*make_surw({place}, at->events)), kRuns, count), 3);
}

TEST(Pct, LearnsHowManyDecisionsARunHasAtMost) {
  // One task alone can go on once the other has ended: at most 7 decisions, at least 4.
  Sampled p("aaaa", "bbbb");
  EXPECT_EQ(p.trial().decisions, 4u);
  EXPECT_EQ(p.learnt(0), 4u);
  EXPECT_EQ(p.learnt(64), 7u);
}

TEST(Pct, AssumesADecisionWhereThereIsNone) { EXPECT_EQ(Sampled("a", nullptr).learnt(64), 1u); }

TEST(Pos, DrawsAnewForWhatRacedAndForNothingElse) {
  const auto last = [](const std::string& o) { return o.back() == 'B'; };
  // "B" races with none but the last: it is the lowest of twelve draws. With all: of two, 11 times.
  EXPECT_NEAR(Sampled("aaaaaaaaaaA", "B").share(*make_pos(), 40'000, last), 1.0 / 12, 0.006);
  EXPECT_LT(Sampled("AAAAAAAAAAA", "B").share(*make_pos(), 40'000, last), 0.002);
}

TEST(Pos, IsUniformOverTheOrdersOfThreeWriters) {
  EXPECT_LT(unevenness(Sampled("A", "B", "C").orders(*make_pos(), 12'000), 12'000, 6), 3);
}

TEST(Delay, PassesOverATaskAtOneDecisionThatIsUniform) {
  Sampled p("aaaaa", "b");
  const auto seen = p.orders(*make_delay(1, 5), 10'000);
  EXPECT_EQ(seen.size(), 5u);  // "b" at once or after 1 .. 4
  EXPECT_LT(unevenness(seen, 10'000, 5), 3);
}

TEST(Dependence, OrdersWhatMayNotCommute) {
  const auto dep = [](Op a, Op b, std::uint32_t second = 7) {
    Access x, y;
    x.op = a;
    x.object = 7;
    y.op = b;
    y.object = second;
    EXPECT_EQ(dependent(x, y), dependent(y, x));
    return dependent(x, y);
  };
  EXPECT_FALSE(dep(Op::kRead, Op::kRead));
  EXPECT_TRUE(dep(Op::kRead, Op::kWrite));
  EXPECT_TRUE(dep(Op::kWrite, Op::kWrite));
  EXPECT_FALSE(dep(Op::kWrite, Op::kWrite, 8));
  EXPECT_TRUE(dep(Op::kAcquire, Op::kTryAcquire));
  EXPECT_FALSE(dep(Op::kAcquireShared, Op::kReleaseShared));
  EXPECT_TRUE(dep(Op::kAcquireShared, Op::kTryAcquireShared));
  EXPECT_TRUE(dep(Op::kAcquireShared, Op::kRead));
  EXPECT_FALSE(dep(Op::kRcuLock, Op::kRcuUnlock));
  EXPECT_TRUE(dep(Op::kRcuUnlock, Op::kGracePeriod));
  EXPECT_TRUE(dep(Op::kWake, Op::kWake));
  EXPECT_TRUE(dep(Op::kFree, Op::kRead));
  EXPECT_FALSE(dep(Op::kFence, Op::kWrite, kPrivateObject));
}

// Two tasks poll until a third, which has much to do, lets them go.
template <bool kRelaxes>
struct Polled {
  Shared<int> work, ready;
  explicit Polled(Scheduler& s) {
    for (const char* name : {"poll", "poll too"}) {
      add_task(s, name, this, [](Polled& p) {
        while (p.ready.load() == 0) {
          if (kRelaxes) Scheduler::current()->relax();
        }
        p.work.store(-1);
      });
    }
    add_task(s, "work", this, [](Polled& p) {
      for (int i = 0; i < 50; ++i) p.work.store(i);
      p.ready.store(1);
    });
  }
};
struct Maker {
  const char* name;
  std::uint64_t bytes;  // a hash of the schedules of seeds 0 .. 299: the same on every machine
  std::function<std::unique_ptr<Strategy>(const Trial&)> make;
};
const std::vector<Maker>& makers() {
  static const std::vector<Maker> all = {
      {"pct", 0xbc4721f857b80fc5, [](const Trial&) { return make_pct(); }},
      {"pct 1", 0xee8f223aa9af1c8, [](const Trial&) { return make_pct(1, 50); }},
      {"pos", 0xd738473490957a19, [](const Trial&) { return make_pos(); }},
      {"delay", 0xa3d1ff59e862c3a0, [](const Trial&) { return make_delay(); }},
      {"urw", 0xfeee2d46ffb898f9, [](const Trial& trial) { return make_urw(trial.events); }},
      {"surw", 0xcc73d2667c00caa8,
       [](const Trial& t) { return make_surw({t.objects.at(1).place}, t.objects.at(1).events); }},
      {"surw, an object", 0xa8edac0e139830ba,
       [](const Trial& t) { return make_surw(t, SurwScope::kObject); }},
      {"surw, a kind", 0xa8edac0e139830ba,
       [](const Trial& t) { return make_surw(t, SurwScope::kKind); }},
      {"portfolio", 0xce80670e48d16720, [](const Trial& trial) { return make_portfolio(trial); }},
  };
  return all;
}
template <bool kRelaxes>
void expect_no_hang(std::uint64_t seeds, std::uint64_t steps_max) {
  Program<Polled<kRelaxes>> p;
  const Trial trial = run_trial(p.world());
  ASSERT_EQ(trial.end, RunEnd::kFinished);
  for (const Maker& maker : makers()) {
    const auto strategy = maker.make(trial);
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      const RunResult& result = p.run(*strategy, {.seed = seed, .steps_max = steps_max});
      ASSERT_EQ(result.end, RunEnd::kFinished) << maker.name << " seed " << seed;
    }
  }
}
TEST(Sampling, PollingTasksDoNotStarveTheOneTheyWaitFor) { expect_no_hang<true>(2000, 20'000); }
TEST(Sampling, NorDoThoseThatPollWithoutSayingSo) { expect_no_hang<false>(50, 1'000'000); }

TEST(Sampling, ASeedMeansOneScheduleInAnyOrderOfRunsAndInAnyWorld) {
  constexpr std::uint64_t kSeeds = 300;
  const auto setup = [](Scheduler& s) { s.set_root(new Polled<true>(s)); };
  World first(0, setup), second(1, setup);
  const Trial trial = run_trial(first), again = run_trial(second);
  ASSERT_EQ(trial.events, again.events);
  const auto allocations = first.arena().allocations();
  for (const Maker& maker : makers()) {
    const auto strategy = maker.make(trial), other = maker.make(again);
    std::vector<Schedule> schedules;
    std::uint64_t hash = 0;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      schedules.push_back(first.run(*strategy, {.seed = seed}).schedule);
      for (const std::uint8_t byte : schedules.back()) hash = (hash ^ byte) * 0x100000001b3;
    }
    EXPECT_EQ(hash, maker.bytes) << maker.name << std::hex << " 0x" << hash;
    for (std::uint64_t seed = kSeeds; seed-- > 0;) {
      ASSERT_EQ(second.run(*other, {.seed = seed}).schedule, schedules[seed])
          << maker.name << " seed " << seed;
    }
    EXPECT_EQ(second.arena().allocations(), allocations) << maker.name;
    EXPECT_GT(std::set<Schedule>(schedules.begin(), schedules.end()).size(), 2u) << maker.name;
  }
}

TEST(Sampling, APortfolioHasEveryStrategyInItsShare) {
  Program<Polled<true>> p;
  const auto portfolio = make_portfolio(run_trial(p.world()));
  std::map<std::string_view, int> chosen;
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    p.run(*portfolio, {.seed = seed});
    ++chosen[portfolio->chosen()];
  }
  const std::map<std::string_view, int> shares = {
      {"pos", 4000}, {"surw", 2500}, {"pct", 2000}, {"urw", 1000}, {"random", 500}};
  ASSERT_EQ(chosen.size(), shares.size());
  for (const auto& [name, times] : shares) EXPECT_NEAR(chosen[name], times, 200) << name;
}

TEST(Trial, CountsEventsObjectsAndDecisionsOfAKeepRunningRun) {
  Sampled p("aaA", "B", "cC");
  const Trial trial = p.trial();
  EXPECT_EQ(trial.events, (std::vector<std::uint32_t>{3, 1, 2}));
  EXPECT_EQ(trial.decisions, 4u);
  EXPECT_EQ(trial.objects.size(), 3u);
  EXPECT_EQ(p.shared(trial).events, (std::vector<std::uint32_t>{1, 1, 1}));
  EXPECT_EQ(p.shared(trial).tasks(), 3u);
  EXPECT_EQ(trial.end, RunEnd::kFinished);
}

}  // namespace
}  // namespace interleaf
