// SPDX-License-Identifier: GPL-2.0-only
// Where scenarios of iomap and XFS say "clean", no order with at most one preemption has a finding:
// all of them were seen. For those that take less than about a second.
#include <gtest/gtest.h>

#include <string>

#include "engine/explore.h"
#include "engine/scenario.h"

namespace interleaf {
namespace {

class IomapBounds : public testing::TestWithParam<const char*> {};

TEST_P(IomapBounds, WhatIsCleanIsCleanToOnePreemption) {
  const Scenario scenario = load_scenario(GetParam());
  unsigned clean = 0;
  for (const Expectation& expectation : scenario.expect) {
    if (expectation.verdict != "clean") continue;
    Overrides overrides;
    overrides.kernel = expectation.kernel.value_or("");
    overrides.persona = expectation.persona.value_or("");
    overrides.with = expectation.with;
    overrides.without = expectation.without;
    ExploreOptions options;
    options.jobs = 2;
    options.ignore = expectation.known;
    const ExploreReport report = explore(configure(scenario, overrides), options);
    EXPECT_TRUE(report.findings.empty()) << "expectation " << clean;
    EXPECT_TRUE(report.search.complete) << "expectation " << clean;
    ++clean;
  }
  EXPECT_GT(clean, 0u);
}

constexpr const char* kScenarios[] = {
    "iomap-failed-writeback-leaves-dirty-bits",
    "iomap-unshare-unread",
    "iomap-zeros-behind-eof-dropped",
    "xfs-insert-range-beyond-eof",
    "xfs-short-cow-write-leaks",
    "xfs-unshare-frees-dirty-cow",
};

INSTANTIATE_TEST_SUITE_P(All, IomapBounds, testing::ValuesIn(kScenarios), [](const auto& each) {
  std::string name = each.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace interleaf
