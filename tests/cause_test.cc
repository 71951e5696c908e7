// SPDX-License-Identifier: GPL-2.0-only
// Programs whose mistake is known, and random ones that fail: the causes of their findings.
#include "scheduler/search/cause.h"

#include <gtest/gtest.h>

#include "scheduler/search/enforce.h"
#include "scheduler/search/lockset.h"
#include "scheduler/search/minimize.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"
#include "tests/litmus/random_programs.h"
#include "tests/litmus/stack.h"

namespace interleaf {
namespace {

struct Explained {
  RunResult found;
  CauseResult causes;
  std::vector<EnforceResult> enforced;  // by group
};

bool has(const RunResult& run, const std::string& signature) {
  return !run.clean() && run.verdict()->signature() == signature;
}

// A finding, minimised, and its causes.
Explained explain(World& world, bool enforce = true) {
  Explained result;
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < 2000 && result.found.clean(); ++seed) {
    result.found = world.run(*random, {.seed = seed});
  }
  if (result.found.clean()) {  // rare: the first that the bounded search comes to
    BoundedOptions bounded;
    bounded.preemptions_max = 3;
    bounded.stop_at_first = true;
    const BoundedResult search = explore_bounded(world, bounded);
    if (search.findings.empty()) return result;
    const auto replay = make_replay(search.findings.front().schedule);
    result.found = world.run(*replay, {});
  }
  const std::string signature = result.found.verdict()->signature();
  const auto same = [&](const RunResult& run) { return has(run, signature); };
  result.found = reduce(world, result.found.schedule, {}, same, 4000).run;
  result.causes = find_causes(world, result.found.schedule, {}, same);
  EnforceOptions options;
  options.preemptions = static_cast<unsigned>(result.found.preemptions);
  for (const CauseGroup& group : result.causes.groups) {
    if (enforce) result.enforced.push_back(test_enforced(world, group, options, same));
  }
  return result;
}

// "slow:read fast:rmw slow:rmw R-W-W", a line per group.
std::string text_of(const CauseResult& causes) {
  std::string text;
  const auto site = [](const AccessSite& s) { return s.task_name + ":" + op_name(s.op); };
  for (const CauseGroup& group : causes.groups) {
    text += site(group.first) + ' ' + site(group.foreign);
    if (group.atomicity) text += ' ' + site(group.last) + ' ' + group.kinds;
    text += '\n';
  }
  return text;
}

// Every flip as a line, for when a test fails.
std::string flips_of(const CauseResult& causes) {
  std::string text;
  for (const Flip& flip : causes.flips) {
    for (const AccessSite* s : {&flip.earlier, &flip.later}) {
      text += std::to_string(s->step) + ' ' + s->task_name + ':' + op_name(s->op) + '#' +
              std::to_string(s->object) + "  ";
    }
    text += flip.outcome == Flip::Outcome::kInfeasible ? "infeasible"
            : flip.outcome == Flip::Outcome::kSame     ? "same"
                                                       : "removed " + flip.instead;
    text += '\n';
  }
  return text;
}

// Two tasks add one to a counter by a load and a store.
struct LostUpdate {
  Shared<int> value;
  int ended = 0;
  void add() {
    value.store(value.load() + 1);
    if (++ended == 2 && value.look() != 2) {
      Scheduler::current()->report(FindingKind::kKernelBug, "counter", "lost update", false);
    }
  }
  static void set_up(Scheduler& s) {
    auto* state = new LostUpdate();
    for (const char* name : {"a", "b"}) {
      s.spawn(
          name, [](void* p) { static_cast<LostUpdate*>(p)->add(); }, state);
    }
  }
};

TEST(Cause, OfALostUpdateIsAnAtomicityViolation) {
  World world(0, &LostUpdate::set_up);
  const Explained result = explain(world);
  ASSERT_EQ(result.causes.groups.size(), 1u) << text_of(result.causes);
  const CauseGroup& group = result.causes.groups[0];
  EXPECT_TRUE(group.atomicity) << flips_of(result.causes);
  EXPECT_EQ(group.kinds, "R-W-W") << text_of(result.causes);
  EXPECT_EQ(group.first.task, group.last.task);
  EXPECT_EQ(group.first.op, Op::kRead);
  EXPECT_EQ(group.last.op, Op::kWrite);
  EXPECT_EQ(result.causes.infeasible, 0u);
  // Both tasks do the same, and only one of them was made atomic: the other loses as well.
  EXPECT_EQ(result.enforced[0].outcome, Enforced::kLeaves);
  EXPECT_EQ(result.enforced[0].bound, 1u);
  EXPECT_EQ(result.enforced[0].preemptions, 1u);
}

// Looks twice and trusts that nothing has changed.
struct TwoLooks {
  Shared<int> value;
  void look_twice() {
    if (value.load() == value.load()) return;
    Scheduler::current()->report(FindingKind::kKernelBug, "value", "changed", false);
  }
  static void set_up(Scheduler& s) {
    auto* state = new TwoLooks();
    s.spawn(
        "reader", [](void* p) { static_cast<TwoLooks*>(p)->look_twice(); }, state);
    s.spawn(
        "writer", [](void* p) { static_cast<TwoLooks*>(p)->value.store(1); }, state);
  }
};

TEST(Cause, OfTwoDifferentLooksIsClosedByMakingThemOne) {
  World world(0, &TwoLooks::set_up);
  const Explained result = explain(world);
  EXPECT_EQ(text_of(result.causes), "reader:read writer:write reader:read R-W-R\n");
  ASSERT_FALSE(result.enforced.empty());
  EXPECT_EQ(result.enforced[0].outcome, Enforced::kCloses);
  EXPECT_EQ(result.enforced[0].bound, 1u);
  EXPECT_EQ(result.enforced[0].orders, 2u);
}

TEST(Cause, IsNotCalledClosedWhenTheBudgetWasSpent) {
  World world(0, &TwoLooks::set_up);
  const Explained result = explain(world, false);
  ASSERT_FALSE(result.causes.groups.empty());
  EnforceOptions options;
  options.preemptions = 1;
  options.runs_max = 1;
  const EnforceResult enforced = test_enforced(world, result.causes.groups[0], options,
                                               [](const RunResult& run) { return !run.clean(); });
  EXPECT_EQ(enforced.outcome, Enforced::kUndecided);
  EXPECT_STREQ(enforced.budget, "runs");
}

struct UseBeforeInit {
  Shared<int> pointer;
  void use() {
    if (pointer.load() != 0) return;
    Scheduler::current()->report(FindingKind::kKernelBug, "pointer", "not set yet", true);
  }
  void init() { pointer.store(1); }
  static void set_up(Scheduler& s) {
    auto* state = new UseBeforeInit();
    s.spawn(
        "user", [](void* p) { static_cast<UseBeforeInit*>(p)->use(); }, state);
    s.spawn(
        "maker", [](void* p) { static_cast<UseBeforeInit*>(p)->init(); }, state);
  }
};

TEST(Cause, OfAUseBeforeInitIsTheOrderOfTheTwo) {
  World world(0, &UseBeforeInit::set_up);
  const Explained result = explain(world);
  EXPECT_EQ(text_of(result.causes), "user:read maker:write\n");
  EXPECT_FALSE(result.causes.groups[0].atomicity);
  EXPECT_EQ(result.enforced[0].outcome, Enforced::kCloses);
  EXPECT_EQ(result.enforced[0].given_up, 0u);
}

const LockClass kLeft{"left"};
const LockClass kRight{"right"};
struct Crossing {
  Mutex left{kLeft};
  Mutex right{kRight};
  static void both(Mutex& first, Mutex& second) {
    first.lock();
    second.lock();
    second.unlock();
    first.unlock();
  }
  static void set_up(Scheduler& s) {
    auto* state = new Crossing();
    s.spawn(
        "ab",
        [](void* p) { both(static_cast<Crossing*>(p)->left, static_cast<Crossing*>(p)->right); },
        state);
    s.spawn(
        "ba",
        [](void* p) { both(static_cast<Crossing*>(p)->right, static_cast<Crossing*>(p)->left); },
        state);
  }
};

TEST(Cause, OfADeadlockIsAnAcquisitionThatNeverCame) {
  World world(0, &Crossing::set_up);
  const auto same = [](const RunResult& run) { return run.end == RunEnd::kDeadlock; };
  const auto random = make_random();
  RunResult found;
  for (std::uint64_t seed = 0; seed < 100 && !same(found); ++seed) {
    found = world.run(*random, {.seed = seed});
  }
  ASSERT_TRUE(same(found));
  const CauseResult causes = find_causes(world, found.schedule, {}, same);
  ASSERT_FALSE(causes.groups.empty());
  EXPECT_EQ(causes.causes, 2u);  // either task could have had both
  for (const Flip& flip : causes.flips) {
    if (flip.outcome != Flip::Outcome::kRemoved) continue;
    EXPECT_GT(flip.later.step, causes.run.steps);
    EXPECT_TRUE(flip.later.role == "left" || flip.later.role == "right");
    EXPECT_EQ(flip.later.locks.size(), 1u);
    EXPECT_NE(flip.later.role, flip.later.locks[0]);
  }
}

TEST(Cause, OfAnAbaIsThatTheExchangeTrustsAnOldTop) {
  World world(0, treiber_stack_aba().setup);
  const Explained result = explain(world);
  ASSERT_FALSE(result.causes.groups.empty()) << result.causes.run.steps << " steps\n"
                                             << flips_of(result.causes);
  const CauseGroup& group = result.causes.groups.front();
  EXPECT_TRUE(group.atomicity) << flips_of(result.causes);
  EXPECT_EQ(group.first.task_name, "slow0") << text_of(result.causes);
  EXPECT_EQ(group.kinds, "R-W-W") << text_of(result.causes);
}

TEST(Cause, IsFoundForRandomProgramsThatFail) {
  unsigned failing = 0;
  unsigned unexplained = 0;
  std::uint64_t infeasible = 0;
  std::uint64_t flips = 0;
  // Without data choices: one of those may be the reason alone.
  for (const char* kind :
       {"nested", "mutex", "bit-lock", "fatal", "completion", "plain", "rwsem", "semaphore"}) {
    for (std::uint64_t seed = 0; seed < 400 && failing < 50; ++seed) {
      World world(0, statements_program(random_program(kind, seed)).setup);
      const auto straight = make_keep_running();
      const auto random = make_random();
      const RunResult calm = world.run(*straight, {});
      RunResult found;
      for (std::uint64_t s = 0; s < 30 && found.clean(); ++s) {
        const RunResult run = world.run(*random, {.seed = s});
        if (!run.clean() && calm.clean()) found = run;
      }
      if (found.clean()) continue;
      ++failing;
      const std::string signature = found.verdict()->signature();
      const auto same = [&](const RunResult& run) { return has(run, signature); };
      const CauseResult causes = find_causes(world, found.schedule, {}, same);
      unexplained += causes.causes == 0;
      EXPECT_LE(unexplained, 1u) << kind << " seed " << seed << ": " << flips_of(causes);
      infeasible += causes.infeasible;
      flips += causes.flips.size();
    }
  }
  EXPECT_EQ(failing, 50u);
  EXPECT_EQ(unexplained, 1u);  // it needs two reversals at once
  EXPECT_GT(flips, 50u);
  EXPECT_LT(infeasible * 10, flips);
}

TEST(Lockset, CountsWhatIsHeldAtTheAccessesOfAnObject) {
  World world(0, &Crossing::set_up);
  const auto straight = make_keep_running();
  const CauseResult causes = find_causes(world, world.run(*straight, {}).schedule, {},
                                         [](const RunResult&) { return true; });
  ASSERT_FALSE(causes.flips.empty());
  const std::uint64_t kind = causes.flips[0].earlier.kind;
  const auto counts = sample_locksets(world, {kind}, {}, 20);
  EXPECT_GT(counts.at(kind).accesses, 20u);
  EXPECT_EQ(counts.size(), 1u);
  EXPECT_TRUE(sample_locksets(world, {kind}, {}, 20).at(kind).locks == counts.at(kind).locks);
}

}  // namespace
}  // namespace interleaf
