// SPDX-License-Identifier: GPL-2.0-only
// Numbers that others agree on: interleavings by brute force, classes by every explorer. Sources of
// the numbers: GenMC 0.10.3 and Nidhugg, and the papers that classics.h names.
#include <gtest/gtest.h>

#include "scheduler/prng.h"
#include "scheduler/task_mask.h"
#include "tests/litmus/brute_force.h"
#include "tests/litmus/classics.h"
#include "tests/litmus/counters.h"
#include "tests/litmus/explorers.h"
#include "tests/litmus/soak.h"
#include "tests/litmus/statements.h"

namespace interleaf {
namespace {

struct Known {
  LitmusProgram program;
  std::uint64_t interleavings;
  std::uint64_t classes;
};

TEST(LitmusCounts, SmallProgramsHaveTheKnownNumbers) {
  const Known kKnown[] = {
      {writers(3), 6, 6},
      {writers(4), 24, 24},
      {readers(3), 24, 8},
      {readers(5), 720, 32},
      {sb(), 6, 3},
      {statements_program({"i0 i0", "i0 i0"}), 6, 6},
      {statements_program({"i0 i0 i0", "i0 i0 i0"}), 20, 20},
      {cnt(2, 1), 6, 4},
      {cnt(2, 2), 70, 34},
      {cnt(3, 1), 90, 36},
      {cnt(2, 4), 12'870, 3'334},
      {statements_program({"l0 i0 u0", "l0 i0 u0"}), 2, 2},
      {statements_program({"l0 i0 u0 l0 i0 u0", "l0 i0 u0 l0 i0 u0"}), 6, 6},
      {statements_program({"l0 i0 u0", "l0 i0 u0", "l0 i0 u0"}), 6, 6},
      {lockcnt(2, 2), 6, 6},
      {statements_program({"l0 l1 u1 u0", "l1 l0 u0 u1"}), 6, 3},
      {statements_program({"t0 w0 u0", "t0 w0 u0"}), 6, 4},
      {rwlock(), 42, 4},
      {statements_program({"F0 f0", "a0 w1"}), 3, 2},
      // Completing commutes with completing, but here it is exclusive; else there were 6 classes.
      {statements_program({"D0", "D0", "d0", "d0"}), 8, 8},
      {statements_program({"?3 w0", "r0"}), 9, 6},
      {lastzero(3), 0, 12},
      {filesystem(3), 0, 1},
  };
  for (const Known& known : kKnown) {
    SCOPED_TRACE(known.program.name);
    World world(0, known.program.setup);
    const BruteForceResult truth = brute_force(world);
    if (known.interleavings != 0) {
      EXPECT_EQ(truth.interleavings, known.interleavings);
      EXPECT_EQ(truth.classes.size(), known.classes);
      EXPECT_EQ(truth.hash_error, "");
    }
    for (const Explorer& explorer : explorers()) {
      const Explored explored = explorer.explore(world, {});
      EXPECT_EQ(explored.classes.size(), known.classes) << explorer.name;
      EXPECT_TRUE(explored.complete) << explorer.name;
    }
  }
}

// When explorers of Scale::kPrefixes can go as far.
enum class Reach : std::uint8_t { kAlways, kWhenSoaking, kNever };
struct Counted {
  LitmusProgram program;
  std::uint64_t classes;
  Reach by_prefixes;
  bool only_soaking = false;  // too big for any explorer to be tried per commit
};

bool in_reach(const Counted& row, const Explorer& explorer) {
  if (row.only_soaking && !soaking()) return false;
  if (explorer.scale != Scale::kPrefixes) return explorer.scale == Scale::kClasses;
  return row.by_prefixes == Reach::kAlways || (row.by_prefixes == Reach::kWhenSoaking && soaking());
}

TEST(LitmusCounts, LargeProgramsHaveTheNumbersOfOtherCheckers) {
  using enum Reach;
  const Counted kCounted[] = {
      {cnt(2, 5), 34'904, kAlways},
      {cnt(2, 6), 372'436, kWhenSoaking},
      {cnt(3, 2), 7'134, kAlways},
      {cnt(3, 3), 1'824'912, kWhenSoaking, true},
      {lockcnt(2, 8), 12'870, kAlways},
      {lockcnt(3, 4), 34'650, kAlways},
      {long3(2), 7'134, kWhenSoaking},
      {spread3(2), 7'134, kWhenSoaking},
      {readers(10), 1'024, kAlways},
      {readers(13), 8'192, kWhenSoaking},
      {readers(15), 32'768, kWhenSoaking, true},
      {lastzero(6), 144, kAlways},
      {lastzero(10), 3'328, kWhenSoaking},
      {lastzero(12), 15'360, kNever, true},
      {indexer(12), 8, kNever},
      {indexer(15), 4'096, kNever},
      {filesystem(14), 2, kNever},
      {filesystem(18), 32, kNever},
      {filesystem(20), 128, kNever},
  };
  for (const Counted& row : kCounted) {
    World world(0, row.program.setup);
    for (const Explorer& explorer : explorers()) {
      if (!in_reach(row, explorer)) continue;
      const Explored explored = explorer.explore(world, {});
      EXPECT_EQ(explored.classes.size(), row.classes) << row.program.name << ", " << explorer.name;
      EXPECT_TRUE(explored.complete) << row.program.name << ", " << explorer.name;
    }
  }
}

// Random runs of programs whose classes are about equally likely see them all, and no other.
TEST(LitmusCounts, RandomRunsSeeTheKnownClassesOfProgramsWithManyTasks) {
  class Sampler final : public Strategy {
   public:
    OrderHash order;

    void begin(std::uint64_t seed) override {
      prng_ = Prng(seed);
      order.clear();
    }
    TaskId pick(const Scheduler& s, TaskMask runnable) override {
      const HeapScope heap;
      const TaskId id = nth_task(runnable, prng_.below(count_tasks(runnable)));
      order.event(id, s.task(id).next);
      return id;
    }
    unsigned pick_value(const Scheduler&, const char*, unsigned) override { return 0; }
    bool sees_forced() const override { return true; }
    void forced(const Scheduler& s, TaskId id) override {
      const HeapScope heap;
      order.event(id, s.task(id).next);
    }
    bool sees_also() const override { return true; }
    void also(const Scheduler& s, Op op, std::uint32_t object) override {
      const HeapScope heap;
      order.event(s.current_id(), op, object);
    }

   private:
    Prng prng_{0};
  } sampler;
  const Counted kCounted[] = {
      {indexer(11), 1, Reach::kNever},     {indexer(12), 8, Reach::kNever},
      {filesystem(13), 1, Reach::kNever},  {filesystem(14), 2, Reach::kNever},
      {filesystem(18), 32, Reach::kNever}, {filesystem(20), 128, Reach::kNever},
  };
  for (const Counted& row : kCounted) {
    World world(0, row.program.setup);
    std::set<Hash128> classes;
    for (std::uint64_t seed = 0; seed < 5'000; ++seed) {
      world.run(sampler, {.seed = seed});
      classes.insert(sampler.order.total());
    }
    EXPECT_EQ(classes.size(), row.classes) << row.program.name;
  }
}

}  // namespace
}  // namespace interleaf
