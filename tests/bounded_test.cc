// SPDX-License-Identifier: GPL-2.0-only
// Brute force judges the bounded search, bound by bound. tests/litmus/ judges it without a bound,
// with all other searches.
#include "scheduler/search/bounded.h"

#include <gtest/gtest.h>

#include <set>

#include "scheduler/prng.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"
#include "tests/bounded_programs.h"
#include "tests/litmus/brute_force.h"
#include "tests/litmus/random_programs.h"
#include "tests/litmus/soak.h"
#include "tests/litmus/statements.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

std::function<void(Scheduler&)> machine_of(const StatementTexts& program) {
  return statements_program(program).setup;
}

// All findings of a run as one.
std::string signature_of_run(const RunResult& run) {
  std::string text;
  for (const std::string& signature : signatures_of(run)) text += signature + '\n';
  return text;
}

BruteForceResult truth_of(World& world, std::uint64_t runs_max = 60'000) {
  BruteForceOptions options{.runs_max = runs_max};
  options.signatures = [](const RunResult& run) {
    const std::string all = signature_of_run(run);
    return all.empty() ? std::set<std::string>() : std::set<std::string>{all};
  };
  return brute_force(world, options);
}

struct Found {
  BoundedResult result;
  std::set<Hash128> orders;
};

Found search(World& world, BoundedOptions options) {
  Found found;
  options.signature = signature_of_run;
  options.ended = [&](const RunResult&, const Hash128& order) { found.orders.insert(order); };
  found.result = explore_bounded(world, options);
  EXPECT_EQ(found.result.classes, found.orders.size());
  return found;
}

BoundedOptions up_to(unsigned preemptions) {
  BoundedOptions options;
  options.preemptions_max = preemptions;
  options.snapshot_steps = 1;
  return options;
}

void expect_equal(const BoundedResult& a, const BoundedResult& b) {
  EXPECT_EQ(a.runs, b.runs);
  EXPECT_EQ(a.pruned, b.pruned);
  EXPECT_EQ(a.classes, b.classes);
  ASSERT_EQ(a.findings.size(), b.findings.size());
  for (std::size_t i = 0; i < a.findings.size(); ++i) {
    EXPECT_EQ(a.findings[i].schedule, b.findings[i].schedule);
  }
}

// Compares with brute force for every bound, with snapshots, without, and when verifying.
void judge(World& world, const BruteForceResult& truth) {
  for (unsigned bound = 0; bound <= 4; ++bound) {
    BoundedOptions options = up_to(bound == 4 ? BoundedOptions::kUnbounded : bound);
    const Found found = search(world, options);
    ASSERT_EQ(found.orders, truth.classes_within(options.preemptions_max)) << "bound " << bound;
    EXPECT_TRUE(found.result.complete);
    ASSERT_EQ(found.result.findings.size(), truth.signatures_within(options.preemptions_max).size())
        << "bound " << bound;
    for (const BoundedFinding& finding : found.result.findings) {
      EXPECT_EQ(finding.preemptions, truth.signatures.at(finding.signature));
      const RunResult& again = world.run(*make_replay(finding.schedule), {});
      EXPECT_EQ(signature_of_run(again), finding.signature);
    }
    options.snapshots = false;
    const Found plain = search(world, options);
    EXPECT_EQ(plain.orders, found.orders);
    expect_equal(plain.result, found.result);
    options.verify_cache = true;
    EXPECT_EQ(search(world, options).result.hidden_dependence, "");
  }
}

TEST(Bounded, FindsWhatBruteForceFindsInRandomProgramsAtEveryBound) {
  for (const std::string& kind : random_program_kinds()) {
    for (std::uint64_t seed = 10'000; seed < 10'015; ++seed) {
      const LitmusProgram program = statements_program(random_program(kind, seed));
      SCOPED_TRACE(kind + ", seed " + std::to_string(seed) + ": " + program.name);
      World world(0, program.setup);
      const BruteForceResult truth = truth_of(world, 2'000);
      if (!truth.complete) continue;
      judge(world, truth);
      ASSERT_FALSE(HasFailure());
    }
  }
}

// Programs too large for brute force, against the search that leaves nothing out (`verify_cache`).
void expect_nothing_missed(World& world, unsigned bounds) {
  for (unsigned bound = 0; bound < bounds; ++bound) {
    BoundedOptions options = up_to(bound);
    const Found reduced = search(world, options);
    options.verify_cache = true;
    const Found all = search(world, options);
    ASSERT_EQ(all.result.hidden_dependence, "");
    ASSERT_EQ(reduced.orders, all.orders) << "bound " << bound;
    ASSERT_LE(reduced.result.runs, all.result.runs);
    // It may come to an end in an earlier level, or see nothing new in a later one.
    ASSERT_TRUE(reduced.result.complete);
    const auto classes = [](const BoundedResult& result, std::size_t level) {
      return level < result.levels.size() ? result.levels[level].classes : 0;
    };
    for (std::size_t i = 0; i <= bound; ++i) {
      ASSERT_EQ(classes(reduced.result, i), classes(all.result, i)) << "level " << i;
    }
    ASSERT_EQ(reduced.result.findings.size(), all.result.findings.size());
    for (std::size_t i = 0; i < all.result.findings.size(); ++i) {
      ASSERT_EQ(reduced.result.findings[i].preemptions, all.result.findings[i].preemptions);
      ASSERT_EQ(reduced.result.findings[i].signature, all.result.findings[i].signature);
      ASSERT_EQ(reduced.result.findings[i].count, all.result.findings[i].count);
      ASSERT_EQ(reduced.result.findings[i].schedule, all.result.findings[i].schedule);
    }
  }
}

TEST(Bounded, MissesNothingByItsReductionInRandomPrograms) {
  for (const std::string& kind : random_program_kinds()) {
    for (std::uint64_t seed = 20'000; seed < (soaking() ? 20'400 : 20'020); ++seed) {
      const LitmusProgram program = statements_program(random_program(kind, seed));
      SCOPED_TRACE(kind + ", seed " + std::to_string(seed) + ": " + program.name);
      World world(0, program.setup);
      expect_nothing_missed(world, 3);
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

TEST(Bounded, MissesNothingByItsReductionInLargerPrograms) {
  Prng prng(55);
  for (unsigned i = 0; i < (soaking() ? 1'000u : 40u); ++i) {
    Letters texts = random_letters(prng, 8);
    texts.push_back(random_letters(prng, 4)[0]);
    SCOPED_TRACE(texts[0] + " | " + texts[1] + " | " + texts[2]);
    World world(0, letter_program(texts));
    expect_nothing_missed(world, 3);
    ASSERT_FALSE(HasFatalFailure());
  }
}

// Each finding of a run for itself, also where the run has a graver one.
TEST(Bounded, CountsEverySignatureOfARunAsBruteForceDoes) {
  unsigned several = 0;
  for (const std::string& kind : random_program_kinds()) {
    for (std::uint64_t seed = 10'000; seed < 10'010; ++seed) {
      const LitmusProgram program = statements_program(random_program(kind, seed));
      SCOPED_TRACE(kind + ", seed " + std::to_string(seed) + ": " + program.name);
      World world(0, program.setup);
      BruteForceOptions brute{.runs_max = 2'000};
      brute.signatures = [](const RunResult& run) { return signatures_of(run); };
      const BruteForceResult truth = brute_force(world, brute);
      if (!truth.complete) continue;
      for (unsigned bound = 0; bound <= 2; ++bound) {
        BoundedOptions options = up_to(bound);
        options.signatures = [](const RunResult& run) {
          const std::set<std::string> all = signatures_of(run);
          return std::vector<std::string>(all.begin(), all.end());
        };
        const BoundedResult found = explore_bounded(world, options);
        std::set<std::string> signatures;
        for (const BoundedFinding& finding : found.findings) {
          signatures.insert(finding.signature);
          EXPECT_EQ(finding.preemptions, truth.signatures.at(finding.signature));
          const RunResult& again = world.run(*make_replay(finding.schedule), {});
          EXPECT_TRUE(signatures_of(again).contains(finding.signature));
          several += signatures_of(again).size() > 1;
        }
        ASSERT_EQ(signatures, truth.signatures_within(bound)) << "bound " << bound;
      }
    }
  }
  EXPECT_GT(several, 0u);
}

// Tasks that read and write two variables and wait for each other's end, behind one that waits for
// all of them, as the one that judges a scenario does. Digits: wait for the end of that task. 'l':
// a read and a write under a lock.
struct EndsProgram {
  struct Runner {
    EndsProgram* program;
    std::string text;
    int seen = 0;
    Completion ended{"the end of a task"};
  };
  Atomic<int> variable[2];
  static constexpr LockClass kLock{"lock"};
  Spinlock lock{kLock};
  std::vector<Runner*> runners;

  EndsProgram(Scheduler& s, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      runners.push_back(new Runner{this, text});
      add_task(s, "task", runners.back(), [](Runner& r) { r.program->run(r); });
    }
    add_task(s, "last", this, [](EndsProgram& program) {
      for (Runner* runner : program.runners) runner->ended.wait_for_good();
      if (program.variable[0].read() == 2) complain("it is 2 at the end");
    });
  }
  void run(Runner& r) {
    for (const char letter : r.text) {
      if (letter == 'r' || letter == 'R') r.seen = variable[letter == 'R'].read();
      if (letter == 'w' || letter == 'W') variable[letter == 'W'].set(r.seen + 1);
      if (letter == 'i') variable[0].add(1);
      if (letter == 'l') {
        lock.lock();
        variable[1].set(variable[0].read() + 1);
        lock.unlock();
      }
      if (letter == '!' && r.seen == 2) complain("it is 2");
      if (letter >= '0' && letter <= '9') {
        runners[static_cast<unsigned>(letter - '0') % runners.size()]->ended.wait_for_good();
      }
    }
    r.ended.complete_all();
  }
  static void complain(const char* what) {
    Scheduler::current()->report(FindingKind::kKernelBug, what, what, false);
  }
};

TEST(Bounded, FindsWhatBruteForceFindsAroundTheEndsOfTasks) {
  unsigned judged = 0;
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    static constexpr char kLetters[] = "rwRWi!012";
    Prng prng(seed);
    std::vector<std::string> texts(2 + prng.below(2));
    std::string all;
    for (std::string& text : texts) {
      for (unsigned left = 1 + prng.below(3); left > 0; --left) {
        text += kLetters[prng.below(sizeof(kLetters) - 1)];
      }
      all += text + " ";
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + all);
    World world(0, [&](Scheduler& s) { s.set_root(new EndsProgram(s, texts)); });
    const BruteForceResult truth = truth_of(world, 4'000);
    if (!truth.complete) continue;
    ++judged;
    judge(world, truth);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(judged, 60u);
}

// The same with more steps and a lock, against the search that leaves nothing out: awaits that come
// due while others sleep, block and go on.
TEST(Bounded, MissesNothingByItsReductionAroundTheEndsOfTasks) {
  Prng prng(77);
  for (unsigned i = 0; i < (soaking() ? 1'500u : 60u); ++i) {
    static constexpr char kLetters[] = "rwRWil0l01";
    std::vector<std::string> texts = {prng.below(2) == 0 ? "" : "i"};
    for (unsigned others = 1 + prng.below(2); others > 0; --others) {
      texts.emplace_back();
      for (unsigned left = 2 + prng.below(3); left > 0; --left) {
        texts.back() += kLetters[prng.below(sizeof(kLetters) - 1)];
      }
    }
    std::string all;
    for (const std::string& text : texts) all += text + " ";
    SCOPED_TRACE("program " + std::to_string(i) + ": " + all);
    World world(0, [&](Scheduler& s) { s.set_root(new EndsProgram(s, texts)); });
    expect_nothing_missed(world, 3);
    ASSERT_FALSE(HasFatalFailure());
  }
}

// Preempted within the lock, the middle one leads to an await and a block only; before it, to more.
TEST(Bounded, TellsAnAwaitThatLeadsToABlockFromOneThatDoesNotYet) {
  for (const char* waits : {"0l", "0lr", "00l"}) {
    World world(0, [&](Scheduler& s) { s.set_root(new EndsProgram(s, {"", "wl", waits})); });
    SCOPED_TRACE(waits);
    expect_nothing_missed(world, 3);
  }
}

// Three that wait for one end: no order among them.
TEST(Bounded, TellsNoOrderOfWaitsForTheSameEnd) {
  World world(0, [](Scheduler& s) { s.set_root(new EndsProgram(s, {"", "0", "0"})); });
  EXPECT_EQ(search(world, up_to(BoundedOptions::kUnbounded)).result.classes, 1u);
}

TEST(Bounded, ReportsTheFewestPreemptionsFirst) {
  // The last load sees 2 only if both others ran to their end inside of it.
  World world(0, machine_of({"r0 w0 r0 !0", "i0"}));
  const Found found = search(world, up_to(3));
  ASSERT_EQ(found.result.findings.size(), 1u);
  EXPECT_EQ(found.result.findings[0].preemptions, 1u);
  EXPECT_EQ(search(world, up_to(0)).result.findings.size(), 0u);
  BoundedOptions options = up_to(3);
  options.stop_at_first = true;
  const BoundedResult first = explore_bounded(world, options);
  EXPECT_EQ(first.complete_up_to, 0);
  EXPECT_FALSE(first.complete);
  EXPECT_FALSE(first.out_of_budget);
}

TEST(Bounded, SaysThatItStoppedEarly) {
  World world(0, machine_of({"i0 i0 i0 i0", "i0 i0 i0 i0", "i0 i0 i0 i0"}));
  BoundedOptions options = up_to(4);
  options.runs_max = 40;
  const BoundedResult few = explore_bounded(world, options);
  EXPECT_TRUE(few.out_of_budget);
  EXPECT_FALSE(few.complete || few.exhausted);
  EXPECT_EQ(few.complete_up_to, 0);
  EXPECT_EQ(few.runs + few.pruned, 40u);
  options.runs_max = 0;
  options.prefixes_max = 100;
  EXPECT_TRUE(explore_bounded(world, options).out_of_budget);
  options.prefixes_max = 0;
  options.seconds_max = 1e-9;
  EXPECT_EQ(explore_bounded(world, options).complete_up_to, -1);
}

TEST(Bounded, DoesNotCallARunCompleteThatTheStepLimitCut) {
  World world(0, machine_of({"i0 i0 i0 i0", "i0 i0 i0 i0"}));
  BoundedOptions options = up_to(1);
  options.run.steps_max = 6;
  const BoundedResult result = explore_bounded(world, options);
  EXPECT_FALSE(result.complete || result.exhausted);
  EXPECT_EQ(result.complete_up_to, -1);
}

// The second task looks at what the first one has left behind without a point.
struct Secretive {
  Shared<int> a, b, c;
  int plain = 0;

  explicit Secretive(Scheduler& s) {
    add_task(s, "writer", this, [](Secretive& p) {
      p.a.store(1);
      p.plain = 1;
    });
    add_task(s, "reader", this, [](Secretive& p) {
      p.b.store(1);
      if (p.plain == 1) {
        p.c.store(1);
      } else {
        p.b.store(2);
      }
    });
  }
};

TEST(Bounded, NoticesAHiddenDependence) {
  World world(0, [](Scheduler& s) { s.set_root(new Secretive(s)); });
  for (const bool snapshots : {true, false}) {
    BoundedOptions options = up_to(3);
    options.snapshots = snapshots;
    options.verify_cache = true;
    const BoundedResult result = explore_bounded(world, options);
    EXPECT_TRUE(result.hidden_dependence.starts_with("hidden dependence: "))
        << result.hidden_dependence;
    EXPECT_FALSE(result.complete);
    EXPECT_NE(result.hidden_dependence.find("\n  reader: write at "), std::string::npos)
        << result.hidden_dependence;
  }
}

TEST(Bounded, ExploresPollingTasks) {
  struct Polling {
    Shared<int> flag, other;
    explicit Polling(Scheduler& s) {
      add_task(s, "poller", this, [](Polling& p) {
        while (p.flag.load() == 0) Scheduler::current()->relax();
      });
      add_task(s, "setter", this, [](Polling& p) {
        p.other.store(1);
        p.flag.store(1);
      });
    }
  };
  World world(0, [](Scheduler& s) { s.set_root(new Polling(s)); });
  judge(world, truth_of(world));
}

}  // namespace
}  // namespace interleaf
