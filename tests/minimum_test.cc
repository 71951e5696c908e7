// SPDX-License-Identifier: GPL-2.0-only
// Random small programs with a finding: brute force over every schedule says what the fewest
// preemptions are, and judges what minimisation says.
#include "scheduler/search/minimum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "scheduler/search/normalize.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/mutex.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kMutex{"mutex"};

// A statement a task: letters with a number each.
using Text = std::vector<std::string>;

struct Machine {
  struct Runner {
    Machine* machine;
    std::string text;
    int seen = 0;
    bool held = false;
  };

  Atomic<int> variable[2];
  Mutex mutex{kMutex};
  BitFlags<2> flags;
  std::vector<Runner> runners;

  Machine(Scheduler& s, const Text& program) {
    flags.poke(0, true);
    for (const std::string& text : program) runners.push_back({this, text});
    for (Runner& runner : runners) {
      add_task(s, "task", &runner, [](Runner& r) {
        for (std::size_t i = 0; i < r.text.size(); i += 2) {
          r.machine->step(r, r.text[i], static_cast<unsigned>(r.text[i + 1] - '0'));
        }
        if (r.held) r.machine->mutex.unlock();
      });
    }
  }

  void step(Runner& r, char letter, unsigned n) {
    if (letter == 'r') r.seen = variable[n].read();
    if (letter == 'w') variable[n].set(r.seen + 1);
    if (letter == 'l' && !r.held) {
      mutex.lock();
      r.held = true;
    } else if (letter == 'u' && r.held) {
      mutex.unlock();
      r.held = false;
    }
    if (letter == 'F') flags.clear(0);
    if (letter == 'a') flags.wait_clear(0, "the flag");
    if (letter == '?') r.seen = static_cast<int>(Scheduler::current()->choose("coin", 3));
    if (letter == '!' && r.seen == static_cast<int>(n)) {
      Scheduler::current()->report(FindingKind::kKernelBug, "value", "it was seen", false);
    }
  }
};

std::string signature_of(const RunResult& run) {
  return run.clean() ? std::string() : run.verdict()->signature();
}

// All schedules one after another, like an odometer.
class Odometer final : public Strategy {
 public:
  bool advance() {
    while (!digits_.empty() && digits_.back().rest == 0) digits_.pop_back();
    if (digits_.empty()) return false;
    digits_.back().now = static_cast<unsigned>(std::countr_zero(digits_.back().rest));
    digits_.back().rest &= digits_.back().rest - 1;
    return true;
  }
  void begin(std::uint64_t) override { at_ = 0; }
  TaskId pick(const Scheduler&, TaskMask runnable) override {
    return static_cast<TaskId>(digit(runnable));
  }
  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return digit((TaskMask{1} << count) - 1);
  }

 private:
  struct Digit {
    unsigned now;
    TaskMask rest;
  };
  unsigned digit(TaskMask options) {
    const HeapScope heap;
    if (at_ == digits_.size()) {
      digits_.push_back(
          {static_cast<unsigned>(std::countr_zero(options)), options & (options - 1)});
    }
    return digits_[at_++].now;
  }

  std::vector<Digit> digits_;
  std::size_t at_ = 0;
};

// The fewest preemptions of a run with the signature; none if there are too many schedules.
std::optional<std::uint64_t> fewest(World& world, const std::string& signature) {
  std::uint64_t least = ~std::uint64_t{0};
  Odometer odometer;
  for (unsigned runs = 0; runs < 30'000; ++runs) {
    const RunResult& run = world.run(odometer, {});
    if (signature_of(run) == signature) least = std::min(least, run.preemptions);
    if (!odometer.advance()) return least;
  }
  return std::nullopt;
}

Text random_program(Prng& prng) {
  constexpr std::string_view kLetters = "rrrwwwlu!!F?";
  Text program(2 + prng.below(2));
  for (std::string& task : program) {
    const std::uint64_t length = 2 + prng.below(program.size() == 2 ? 5 : 2);
    for (std::uint64_t i = 0; i < length; ++i) {
      const char letter = kLetters[prng.below(kLetters.size())];
      task += letter;
      task += static_cast<char>('0' + (letter == '!' ? 1 + prng.below(3) : prng.below(2)));
    }
  }
  if (prng.below(3) == 0) program[0] = "a0" + program[0];
  return program;
}

struct Failing {
  Text program;
  std::string signature;
  std::vector<Schedule> schedules;  // that have it, of different seeds
  std::uint64_t fewest = 0;
};

std::string text_of(const Text& program) {
  std::string text;
  for (const std::string& task : program) text += "  " + task + "\n";
  return text;
}

// Calls each(world, failing) for so many programs that fail by chance.
template <typename Each>
void for_failing_programs(unsigned wanted, Each each) {
  const auto random = make_random();
  unsigned found = 0;
  for (std::uint64_t seed = 0; found < wanted; ++seed) {
    ASSERT_LT(seed, 20'000u);
    Prng prng(seed);
    Failing failing{.program = random_program(prng), .signature = "", .schedules = {}};
    World world(0, [&](Scheduler& s) { s.set_root(new Machine(s, failing.program)); });
    for (std::uint64_t run_seed = 0; run_seed < 12; ++run_seed) {
      const RunResult& run = world.run(*random, {.seed = run_seed});
      const std::string signature = signature_of(run);
      if (failing.signature.empty()) failing.signature = signature;
      if (signature.empty() || signature != failing.signature || run.preemptions == 0) continue;
      failing.schedules.push_back(run.schedule);
    }
    if (failing.schedules.empty()) continue;
    const auto least = fewest(world, failing.signature);
    if (!least) continue;
    failing.fewest = *least;
    ++found;
    each(world, failing);
    if (testing::Test::HasFailure()) FAIL() << "seed " << seed << "\n" << text_of(failing.program);
  }
}

TEST(Minimum, ClaimsNoMinimumThatIsNone) {
  unsigned exact = 0, proven = 0, exact_without_search = 0;
  for_failing_programs(150, [&](World& world, const Failing& failing) {
    const auto same = [&](const RunResult& run) { return signature_of(run) == failing.signature; };
    const MinimumResult result = minimum(world, failing.schedules[0], {}, same);
    EXPECT_TRUE(same(result.found.run));
    EXPECT_FALSE(result.hidden_dependence);
    EXPECT_GE(result.found.run.preemptions, failing.fewest);
    EXPECT_LE(result.found.run.preemptions, result.preemptions_reduced);
    EXPECT_LE(result.preemptions_reduced, result.preemptions_given);
    if (result.is_minimum()) {
      ++proven;
      EXPECT_EQ(result.found.run.preemptions, failing.fewest);
    }
    exact += result.found.run.preemptions == failing.fewest;
    exact_without_search += result.preemptions_reduced == failing.fewest;
  });
  EXPECT_EQ(exact, 150u);  // these are small: the search is always complete
  EXPECT_EQ(proven, 150u);
  EXPECT_GE(exact_without_search, 135u);
}

TEST(Minimum, OfTheSameBugIsTheSameRunWhateverTheScheduleWas) {
  for_failing_programs(60, [&](World& world, const Failing& failing) {
    const auto same = [&](const RunResult& run) { return signature_of(run) == failing.signature; };
    const MinimumResult first = minimum(world, failing.schedules[0], {}, same);
    for (const Schedule& schedule : failing.schedules) {
      const MinimumResult other = minimum(world, schedule, {}, same);
      EXPECT_TRUE(other.canonical);
      EXPECT_EQ(other.found.run.schedule, first.found.run.schedule);
      EXPECT_EQ(other.found.run.digest, first.found.run.digest);
      EXPECT_EQ(other.orders, first.orders);
    }
  });
}

TEST(Minimum, IsNotClaimedWhenTheSearchRunsOut) {
  unsigned out = 0;
  for_failing_programs(150, [&](World& world, const Failing& failing) {
    const auto same = [&](const RunResult& run) { return signature_of(run) == failing.signature; };
    MinimumOptions options;
    options.search_runs = 3;
    const MinimumResult result = minimum(world, failing.schedules[0], options, same);
    EXPECT_TRUE(same(result.found.run));
    EXPECT_TRUE(!result.is_minimum() || result.found.run.preemptions == failing.fewest);
    if (std::string(result.budget) != "runs" || result.canonical) return;
    ++out;
    EXPECT_FALSE(result.is_minimum() && failing.fewest > 0 && result.orders == 0);
  });
  EXPECT_GT(out, 0u);
}

// What tasks share without a point makes the search see less than there is.
struct Hidden {
  Atomic<int> here, there;
  int secret = 0;

  explicit Hidden(Scheduler& s) {
    add_task(s, "a", this, [](Hidden& h) {
      h.here.set(1);
      h.secret = 1;
      h.here.set(2);
      h.secret = 0;
    });
    add_task(s, "b", this, [](Hidden& h) {
      h.there.set(1);
      if (h.secret == 1) {
        Scheduler::current()->report(FindingKind::kKernelBug, "secret", "it was seen", false);
      }
    });
  }
};

TEST(Minimum, IsNotClaimedWhereTheSearchIsSeenToMiss) {
  Program<Hidden> program;
  const auto same = [](const RunResult& run) { return !run.clean(); };
  bool tried = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const RunResult run = program.run_random(seed);
    if (run.clean()) continue;
    tried = true;
    const MinimumResult result = minimum(program.world(), run.schedule, {}, same);
    EXPECT_TRUE(same(result.found.run));
    EXPECT_FALSE(result.is_minimum() && !result.canonical);
    EXPECT_TRUE(result.canonical || result.hidden_dependence);
  }
  EXPECT_TRUE(tried);
}

TEST(Normalize, KeepsTheOrderAndTheFindingAndNeverAddsPreemptions) {
  std::uint64_t before = 0, after = 0;
  for_failing_programs(150, [&](World& world, const Failing& failing) {
    const auto same = [&](const RunResult& run) { return signature_of(run) == failing.signature; };
    for (const Schedule& schedule : failing.schedules) {
      const auto replay = make_replay(schedule);
      const RunResult given = world.run(*replay, {});
      const NormalizeResult result = normalize(world, schedule, {}, same, 1000);
      EXPECT_TRUE(same(result.run));
      EXPECT_EQ(order_of(world, result.run.schedule, {}), order_of(world, schedule, {}));
      EXPECT_LE(std::pair(result.run.preemptions, result.run.switches),
                std::pair(given.preemptions, given.switches));
      before += given.preemptions;
      after += result.run.preemptions;
    }
  });
  EXPECT_LT(3 * after, 2 * before);
}

TEST(Normalize, UndoesAPreemptionBetweenIndependentSteps) {
  struct Apart {
    Atomic<int> variable[2];
    explicit Apart(Scheduler& s) {
      for (int i = 0; i < 2; ++i) {
        add_task(s, "t", &variable[i], [](Atomic<int>& own) {
          for (int n = 0; n < 5; ++n) own.add(1);
        });
      }
    }
  };
  Program<Apart> program;
  const RunResult found = program.run_random(1);
  ASSERT_GT(found.preemptions, 2u);
  const auto any = [](const RunResult&) { return true; };
  const NormalizeResult result = normalize(program.world(), found.schedule, {}, any, 1000);
  EXPECT_EQ(result.run.preemptions, 0u);
  EXPECT_EQ(result.run.switches, 1u);
}

}  // namespace
}  // namespace interleaf
