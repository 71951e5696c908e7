// SPDX-License-Identifier: GPL-2.0-only
// Every explorer finds the bugs of a broken program, all of them, and nothing in a correct one.
#include <gtest/gtest.h>

#include "tests/litmus/explorers.h"
#include "tests/litmus/programs.h"
#include "tests/litmus/soak.h"

namespace interleaf {
namespace {

class LitmusBugs : public testing::TestWithParam<JudgedProgram> {};

TEST_P(LitmusBugs, AreFoundByEveryExplorerAndNothingElse) {
  const auto& [program, bugs, many_prefixes] = GetParam();
  World world(0, program.setup);
  for (const Explorer& explorer : explorers()) {
    if (many_prefixes && explorer.scale == Scale::kSmallPrograms) continue;
    if (many_prefixes && explorer.scale == Scale::kPrefixes && !soaking()) continue;
    const Explored explored = explorer.explore(world, {});
    EXPECT_TRUE(explored.complete) << explorer.name << ": " << explored.hidden_dependence;
    EXPECT_EQ(explored.signatures, bugs) << explorer.name;
  }
}

std::string test_name(const testing::TestParamInfo<JudgedProgram>& judged) {
  std::string name = judged.param.program.name;
  for (char& c : name) {
    if (c == '(') c = '_';
  }
  std::erase(name, ')');
  return name;
}
INSTANTIATE_TEST_SUITE_P(In, LitmusBugs, testing::ValuesIn(judged_programs()), &test_name);

}  // namespace
}  // namespace interleaf
