// SPDX-License-Identifier: GPL-2.0-only
// Coverage against programs whose handoffs and classes are known.
#include "scheduler/search/coverage.h"

#include <gtest/gtest.h>

#include <map>

#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

// Two tasks, each stores into its own word and loads the other's.
struct StoreBuffering {
  Shared<int> x, y;
  explicit StoreBuffering(Scheduler& s) {
    add_task(s, "a", this, [](StoreBuffering& p) {
      FRAME(a);
      p.x.store(1);
      p.y.load();
    });
    add_task(s, "b", this, [](StoreBuffering& p) {
      FRAME(b);
      p.y.store(1);
      p.x.load();
    });
  }
};

// Two readers of a word that nobody writes, and one task that writes it if asked to.
template <bool kWrites>
struct Readers {
  Shared<int> word;
  explicit Readers(Scheduler& s) {
    for (const char* name : {"one", "two"}) {
      add_task(s, name, this, [](Readers& p) {
        FRAME(read);
        p.word.load();
      });
    }
    add_task(s, "three", this, [](Readers& p) {
      FRAME(three);
      if (kWrites) p.word.store(1);
    });
  }
};

template <typename State>
Coverage covered(unsigned runs) {
  Program<State> p;
  Coverage coverage;
  const auto random = make_random();
  const auto watched = watch(*random, coverage);
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    p.run(*watched, {.seed = seed});
    coverage.end_run();
  }
  return coverage;
}

TEST(Coverage, CountsTheHandoffsAndClassesOfStoreBuffering) {
  const Coverage coverage = covered<StoreBuffering>(100);
  EXPECT_EQ(coverage.runs(), 100u);
  EXPECT_EQ(coverage.handoffs(), 4u);  // of each word: written then read, read then written
  EXPECT_EQ(coverage.handoff_set().size(), 4u);
  EXPECT_EQ(coverage.classes(), 3u);
  EXPECT_EQ(coverage.handoffs_since(100), 4u);
  EXPECT_EQ(coverage.handoffs_since(1000), 4u);
  EXPECT_EQ(coverage.handoffs_since(0), 0u);
  EXPECT_EQ(coverage.classes_since(50), 0u);
}

TEST(Coverage, ReadersHandNothingOver) {
  EXPECT_EQ(covered<Readers<false>>(50).handoffs(), 0u);
  EXPECT_EQ(covered<Readers<false>>(50).classes(), 1u);
}

TEST(Coverage, AWriterHandsOverToReadersAndTheyToIt) {
  const Coverage coverage = covered<Readers<true>>(100);
  EXPECT_EQ(coverage.handoffs(), 2u);
  EXPECT_EQ(coverage.classes(), 4u);
}

TEST(Coverage, AgreesWithAPlainCountOfTheOrders) {
  Program<StoreBuffering> p;
  Coverage coverage;
  const auto random = make_random();
  const auto watched = watch(*random, coverage);
  std::map<Hash128, unsigned> orders;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    p.run(*watched, {.seed = seed});
    const RunCoverage run = coverage.end_run();
    EXPECT_EQ(run.new_class, ++orders[run.order] == 1);
    unsigned once = 0, twice = 0;
    for (const auto& [order, times] : orders) {
      once += times == 1;
      twice += times == 2;
    }
    EXPECT_EQ(coverage.classes_seen_once(), once);
    EXPECT_EQ(coverage.classes_seen_twice(), twice);
    EXPECT_EQ(coverage.classes(), orders.size());
  }
}

TEST(Coverage, WatchingChangesNoSchedule) {
  Program<StoreBuffering> p;
  for (const StrategyInfo& info : strategies()) {
    const auto plain = info.make(), inner = info.make();
    Coverage coverage;
    const auto watched = watch(*inner, coverage);
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const RunResult run = p.run(*plain, {.seed = seed});
      const RunResult& again = p.run(*watched, {.seed = seed});
      EXPECT_EQ(run.schedule, again.schedule) << info.name;
      EXPECT_EQ(run.digest, again.digest) << info.name;
    }
  }
}

TEST(Coverage, HandoffsAreTheSameNumbersInEveryWorld) {
  const auto setup = [](Scheduler& s) { s.set_root(new StoreBuffering(s)); };
  World first(0, setup), second(1, setup);
  Coverage one, two;
  const auto random = make_random();
  const auto watched = watch(*random, one), also = watch(*random, two);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    first.run(*watched, {.seed = seed});
    one.end_run();
    second.run(*also, {.seed = 49 - seed});
    two.end_run();
  }
  EXPECT_EQ(one.handoff_set(), two.handoff_set());
}

TEST(ObjectKinds, TellBlocksOfBootApartAndThoseOfARunByTypeAndSize) {
  constexpr BlockType kFolio{"folio"}, kNode{"node"};
  Arena arena(0);
  void* one = arena.allocate(32);
  void* two = arena.allocate(32);
  void* typed = arena.allocate(64, 64, &kFolio);
  ObjectKinds kinds;
  kinds.learn(arena);
  const auto of = [&](const void* block, std::size_t offset) {
    return kinds.of(arena, static_cast<const char*>(block) + offset);
  };
  EXPECT_NE(of(one, 0), of(two, 0));
  EXPECT_NE(of(one, 0), of(one, 8));
  EXPECT_EQ(of(one, 8), of(one, 8));
  // A folio is a folio, wherever a run puts it; its fields are told apart.
  arena.allocate(48);
  void* later = arena.allocate(64, 16, &kFolio);
  void* node = arena.allocate(64, 16, &kNode);
  void* plain = arena.allocate(64);
  void* small = arena.allocate(32);
  EXPECT_EQ(of(typed, 16), of(later, 16));
  EXPECT_NE(of(typed, 16), of(later, 24));
  EXPECT_NE(of(node, 16), of(later, 16));
  EXPECT_NE(of(plain, 16), of(small, 16));
  EXPECT_NE(of(small, 0), of(one, 0));
  EXPECT_EQ(of(arena.allocate(32), 0), of(small, 0));
}

}  // namespace
}  // namespace interleaf
