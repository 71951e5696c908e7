// SPDX-License-Identifier: GPL-2.0-only
// Brute force judges every explorer on random programs: the same classes, the same findings.
#include "tests/litmus/random_programs.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/litmus/brute_force.h"
#include "tests/litmus/explorers.h"
#include "tests/litmus/soak.h"

namespace interleaf {
namespace {

unsigned programs_per_kind() { return soaking() ? 3'000 : 20; }

// Programs with more interleavings are passed over.
std::uint64_t interleavings_max() { return soaking() ? 20'000 : 4'000; }

class RandomPrograms : public testing::TestWithParam<std::string> {};

TEST_P(RandomPrograms, HaveTheClassesAndFindingsOfBruteForceInEveryExplorer) {
  const BruteForceOptions options{.runs_max = interleavings_max()};
  unsigned judged = 0;
  for (std::uint64_t seed = 0; judged < programs_per_kind(); ++seed) {
    ASSERT_LT(seed, 10 * programs_per_kind()) << "too few programs are small enough";
    const LitmusProgram program = statements_program(random_program(GetParam(), seed));
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + program.name);
    World world(0, program.setup);
    const BruteForceResult truth = brute_force(world, options);
    ASSERT_EQ(truth.hash_error, "");
    if (!truth.complete) continue;
    ++judged;
    for (const Explorer& explorer : explorers()) {
      SCOPED_TRACE(explorer.name);
      const Explored explored = explorer.explore(world, options.run);
      ASSERT_EQ(explored.hidden_dependence, "");
      ASSERT_TRUE(explored.complete);
      ASSERT_EQ(explored.classes, truth.classes_within(~0ull))
          << truth.classes.size() << " classes, found " << explored.classes.size();
      ASSERT_EQ(explored.signatures, truth.signatures_within(~0ull));
    }
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& kind) {
  std::string name = kind.param;
  std::erase(name, '-');
  return name;
}
INSTANTIATE_TEST_SUITE_P(OfEveryKind, RandomPrograms, testing::ValuesIn(random_program_kinds()),
                         &test_name);

TEST(RandomPrograms, DeadlockComplainEndEarlyAndAreMostlyClean) {
  std::map<std::string, unsigned> with;
  unsigned clean = 0;
  for (const std::string& kind : random_program_kinds()) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      World world(0, statements_program(random_program(kind, seed)).setup);
      const BruteForceResult truth = brute_force(world, {.runs_max = 500});
      clean += truth.complete && truth.signatures.empty();
      for (const auto& [signature, least] : truth.signatures) {
        ++with[signature.substr(0, signature.find(':'))];
        with["fatal"] += signature.ends_with(":fatal");
      }
    }
  }
  for (const char* what :
       {"deadlock", "kernel-bug", "fatal", "refcount", "lock-held-at-end", "sleep-in-atomic"}) {
    EXPECT_GE(with[what], 3u) << what;
  }
  EXPECT_GT(clean, 100u);
}

TEST(RandomPrograms, FollowFromTheSeed) {
  EXPECT_EQ(random_program("mixed", 7), random_program("mixed", 7));
  EXPECT_NE(random_program("mixed", 7), random_program("mixed", 8));
}

}  // namespace
}  // namespace interleaf
