// SPDX-License-Identifier: GPL-2.0-only
// Retry loops that wake each other for ever: searches bound the repetitions and say which loops
// they cut. What is left behind is a property of the order, so every search comes to the same
// classes.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "scheduler/search/bounded.h"
#include "scheduler/search/retry_limit.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/retry_loop.h"
#include "scheduler/sync/shared.h"
#include "tests/litmus/dpor_outcome.h"

namespace interleaf {
namespace {

constexpr LockClass kA{"A"}, kB{"B"};

// Two tasks that need both locks, in the two orders; whoever does not get the second one drops the
// first. In lockstep they do so for ever.
struct Backoff {
  Mutex a{kA}, b{kB};
  Shared<int> both{0};

  void take(Mutex& first, Mutex& second) {
    for (RetryLoop loop;; loop.again()) {
      first.lock();
      if (second.try_lock()) break;
      first.unlock();
    }
    both.store(both.load() + 1);
    second.unlock();
    first.unlock();
  }
  void one(unsigned) {
    FRAME(one);
    take(a, b);
  }
  void two(unsigned) {
    FRAME(two);
    take(b, a);
  }
  void add_tasks(Scheduler& s) {
    add_numbered_task<&Backoff::one>(s, "one", this, 1);
    add_numbered_task<&Backoff::two>(s, "two", this, 2);
  }
};
LitmusProgram backoff() { return litmus_program<Backoff>("backoff"); }

// One task holds the lock for a while; the other one tries.
struct Holder {
  Mutex a{kA};

  void tries(unsigned) {
    FRAME(tries);
    for (RetryLoop loop; !a.try_lock();) loop.again();
    a.unlock();
  }
  void holds(unsigned) {
    a.lock();
    a.unlock();
  }
  void add_tasks(Scheduler& s) {
    add_numbered_task<&Holder::tries>(s, "tries", this, 1);
    add_numbered_task<&Holder::holds>(s, "holds", this, 2);
  }
};
LitmusProgram holder() { return litmus_program<Holder>("holder"); }

struct Known {
  std::uint32_t retries;
  std::uint64_t classes;
  std::uint64_t cut;
  std::map<std::string, std::uint64_t> functions;
};

void expect_known(const LitmusProgram& program, const Known& known) {
  SCOPED_TRACE(program.name + ", " + std::to_string(known.retries));
  BruteForceResult truth;
  worlds_of(program)(0, [&](World& world) {
    truth = brute_force(world, {.run = {.retries_max = known.retries}});
  });
  ASSERT_TRUE(truth.complete);
  EXPECT_EQ(truth.hash_error, "");
  for (const unsigned jobs : {1u, 2u}) {
    const Outcome dpor = explore(program, {.jobs = jobs, .run = {.retries_max = known.retries}});
    EXPECT_TRUE(dpor.result.complete);
    EXPECT_EQ(dpor.result.classes, known.classes);
    EXPECT_EQ(dpor.classes, truth.classes_within(~0ull));
    EXPECT_EQ(dpor.result.retry_cuts.orders, known.cut);
    EXPECT_EQ(dpor.result.retry_cuts.functions, known.functions);
    EXPECT_EQ(dpor.result.findings.size(), 0u);

    BoundedOptions options;
    options.jobs = jobs;
    options.preemptions_max = BoundedOptions::kUnbounded;
    options.run.retries_max = known.retries;
    const BoundedResult bounded = explore_bounded(worlds_of(program), options);
    EXPECT_TRUE(bounded.exhausted);
    EXPECT_EQ(bounded.classes, known.classes);
    EXPECT_EQ(bounded.retry_cuts.orders, known.cut);
    EXPECT_EQ(bounded.retry_cuts.functions, known.functions);
  }
}

// L and U of the holder, T and U of the other one: TULU, LUT, LTUT, LTTU. The last one goes on with
// T if the loop may be repeated twice, and there is no more to try: nothing changes after U.
TEST(Retry, OneLoopIsCutOnlyWhereItCouldGoOn) {
  expect_known(holder(), {1, 4, 1, {{"tries", 1}}});
  expect_known(holder(), {2, 4, 0, {}});
  expect_known(holder(), {0, 4, 0, {}});
}

TEST(Retry, EverySearchCutsTheSameOrdersOfALivelock) {
  expect_known(backoff(), {1, 37, 27, {{"one", 17}, {"two", 17}}});
  expect_known(backoff(), {2, 625, 379, {{"one", 222}, {"two", 222}}});
}

TEST(Retry, ALivelockHasNoEndWithoutALimit) {
  const Outcome outcome = explore(backoff(), {.runs_max = 2'000});
  EXPECT_TRUE(outcome.result.out_of_budget);
  EXPECT_EQ(outcome.result.retry_cuts.orders, 0u);
}

TEST(Retry, TheStepLimitNamesTheLoop) {
  worlds_of(backoff())(0, [](World& world) {
    const auto alternate = make_round_robin();
    const RunResult& run = world.run(*alternate, {.steps_max = 1'000});
    ASSERT_EQ(run.end, RunEnd::kLivelock);
    EXPECT_EQ(run.findings.back().message,
              "no end after 1000 steps; two2 was running; one1 repeated a loop of one 125 times in "
              "vain");
  });
}

// The flag never changes: this is a livelock with any number of repetitions.
struct Hopeless {
  Mutex a{kA};
  Shared<int> flag{0};

  void waits(unsigned) {
    FRAME(waits);
    for (RetryLoop loop; flag.read_once() == 0;) loop.again();
  }
  void other(unsigned) {
    a.lock();
    a.unlock();
  }
  void add_tasks(Scheduler& s) {
    add_numbered_task<&Hopeless::waits>(s, "waits", this, 1);
    add_numbered_task<&Hopeless::other>(s, "other", this, 2);
  }
};

TEST(Retry, AnUnchangedLoopIsStillALivelock) {
  const LitmusProgram program = litmus_program<Hopeless>("hopeless");
  for (const std::uint32_t retries : {0u, 1u, 2u}) {
    const Outcome outcome = explore(program, {.run = {.retries_max = retries}});
    EXPECT_EQ(outcome.result.retry_cuts.orders, 0u);
    ASSERT_FALSE(outcome.result.findings.empty());
    EXPECT_TRUE(outcome.result.findings.back().signature.starts_with("livelock"))
        << outcome.result.findings.back().signature;
  }
}

// A bug of the third task while the first two are in their loops: its schedule needs no limit.
struct BugBeside : Backoff {
  void bug(unsigned) {
    FRAME(bug);
    litmus_assert(both.load() != 0, "both", "not yet");
  }
  void add_tasks(Scheduler& s) {
    Backoff::add_tasks(s);
    add_numbered_task<&BugBeside::bug>(s, "bug", this, 3);
  }
};

TEST(Retry, AFindingIsReplayedWithoutALimit) {
  const LitmusProgram program = litmus_program<BugBeside>("bug beside");
  BoundedOptions options;
  options.preemptions_max = 3;
  options.run.retries_max = 1;
  const BoundedResult result = explore_bounded(worlds_of(program), options);
  EXPECT_GT(result.retry_cuts.orders, 0u);
  const Outcome unbounded = explore(program, {.run = {.retries_max = 1}});
  ASSERT_EQ(result.findings.size(), unbounded.result.findings.size());
  ASSERT_FALSE(result.findings.empty());
  worlds_of(program)(0, [&](World& world) {
    for (const Schedule& schedule :
         {result.findings[0].schedule, unbounded.result.findings[0].schedule}) {
      const auto replay = make_replay(schedule);
      const RunResult& run = world.run(*replay, {});
      EXPECT_FALSE(replay->diverged());
      EXPECT_FALSE(run.clean());
      EXPECT_EQ(run.schedule, schedule);
    }
  });
}

// Every schedule of the limited program, as one of the program itself: the same steps come first.
TEST(Retry, SchedulesOfCutRunsLeadToTheSameStepsWithoutALimit) {
  std::vector<Schedule> cut;
  explore_bounded(worlds_of(backoff()), [&] {
    BoundedOptions options;
    options.preemptions_max = 2;
    options.run.retries_max = 1;
    options.ended = [&](const RunResult& run, const Hash128&) {
      if (run.left != 0) cut.push_back(run.schedule);
    };
    return options;
  }());
  ASSERT_GT(cut.size(), 5u);
  worlds_of(backoff())(0, [&](World& world) {
    for (const Schedule& schedule : cut) {
      const auto limited = make_replay(schedule);
      const std::uint64_t steps = world.run(*limited, {.retries_max = 1}).steps;
      const Schedule free = without_retry_limit(world, {.retries_max = 1}, schedule);
      const auto replay = make_replay(free);
      const RunResult& run = world.run(*replay, {});
      EXPECT_FALSE(replay->diverged());
      EXPECT_GT(run.steps, steps);
      EXPECT_EQ(run.end, RunEnd::kFinished);
    }
  });
}

}  // namespace
}  // namespace interleaf
