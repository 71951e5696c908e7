// SPDX-License-Identifier: GPL-2.0-only
// Every explorer finds the bug of a broken program and nothing in a correct one.
#include <gtest/gtest.h>

#include "tests/litmus/explorers.h"
#include "tests/litmus/programs.h"

namespace interleaf {
namespace {

TEST(LitmusBugs, EveryExplorerTellsRightProgramsFromWrongOnes) {
  for (const JudgedProgram& judged : judged_programs()) {
    World world(0, judged.program.setup);
    for (const Explorer& explorer : explorers()) {
      SCOPED_TRACE(judged.program.name + ", " + explorer.name);
      const Explored explored = explorer.explore(world, {});
      EXPECT_TRUE(explored.complete);
      std::set<std::string> expected;
      if (!judged.bug.empty()) expected.insert(judged.bug);
      EXPECT_EQ(explored.signatures, expected);
    }
  }
}

}  // namespace
}  // namespace interleaf
