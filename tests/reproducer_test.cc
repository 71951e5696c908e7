// SPDX-License-Identifier: GPL-2.0-only
// The C program of the June 2026 report, in its own sizes, on every kernel that there is: what it
// printed there is what the scenario comes to here.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/configuration.h"
#include "engine/kernel/config.h"
#include "engine/run.h"
#include "engine/strategies.h"

namespace interleaf {
namespace {

RunResult result_on(const std::string& kernel_name, const std::string& persona) {
  Overrides overrides;
  overrides.kernel = kernel_name;
  overrides.persona = persona;
  overrides.no_detect = {"lock-order"};  // the fix of 6.12.96 has one: docs/FINDINGS.md
  ScenarioWorld world(0, configure(load_scenario(INTERLEAF_SOURCE_DIR "/tests/thp-open-repro.yaml"),
                                   std::move(overrides)));
  const auto strategy = make_strategy(world, "keep-running");
  return world.world().run(*strategy, world.run_options());
}

unsigned count(const RunResult& result, FindingKind kind) {
  return static_cast<unsigned>(std::ranges::count(
      result.findings, kind, [](const Finding& finding) { return finding.kind; }));
}

// "MADV_COLLAPSE failed at file_off=0: Invalid argument"
void expect_collapse_refused(const RunResult& result) {
  ASSERT_FALSE(result.findings.empty());
  const Finding& first = result.findings.front();
  EXPECT_EQ(first.kind, FindingKind::kUnexpectedReturn);
  EXPECT_NE(first.message.find("madvise(p, 2M, MADV_COLLAPSE) = 0 returned -22"), std::string::npos)
      << first.message;
  EXPECT_EQ(count(result, FindingKind::kLostDirtyData), 0u);
}

// "REPRODUCED iter=0 bad_bytes=16384 first_bad=0 zero_count=16384"
TEST(Reproducer, LosesAllOfTheAppendWhereCollapseFlushesNothing) {
  for (const char* persona : {"ext4", "btrfs"}) {
    const RunResult result = result_on("6.12.95", persona);
    EXPECT_EQ(count(result, FindingKind::kLostDirtyData), 4u) << "pages, " << persona;
    ASSERT_EQ(count(result, FindingKind::kUnexpectedReturn), 1u) << persona;
    const std::string& message = result.findings.back().message;
    EXPECT_NE(message.find("differs in 16384 of 16384 bytes, 16384 of which are zero; the first is "
                           "byte 0"),
              std::string::npos)
        << message;
  }
}

// "no corruption observed"
TEST(Reproducer, IsCleanWithTheFixAndOnXfs) {
  EXPECT_TRUE(result_on("6.12.96", "ext4").clean());
  EXPECT_TRUE(result_on("6.12.96", "btrfs").clean());
  EXPECT_TRUE(result_on("6.12.95", "xfs").clean());
}

// The mapping is not executable.
TEST(Reproducer, CannotCollapseOnSixOne) {
  if (kernel::find_kernel("6.1") == nullptr) GTEST_SKIP() << "no kernel 6.1";
  expect_collapse_refused(result_on("6.1", "ext4"));
}

// The filesystem has no large folios.
TEST(Reproducer, CannotCollapseOnSevenTwoWithoutLargeFolios) {
  if (kernel::find_kernel("7.2") == nullptr) GTEST_SKIP() << "no kernel 7.2";
  expect_collapse_refused(result_on("7.2", "generic"));
}

}  // namespace
}  // namespace interleaf
