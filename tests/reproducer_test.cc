// SPDX-License-Identifier: GPL-2.0-only
// The C program of the June 2026 report, in its own sizes, on every kernel that there is: what it
// printed there is what the scenario comes to here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/configuration.h"
#include "engine/run.h"
#include "engine/strategies.h"

namespace interleaf {
namespace {

using testing::HasSubstr;

constexpr const char* kName = "reproducer-thp-open";

// Kernel and filesystem of an expectation of the scenario.
struct Machine {
  std::string kernel;
  std::string persona;
  std::string verdict;
};

void PrintTo(const Machine& machine, std::ostream* out) {
  *out << machine.kernel << " " << machine.persona << ": " << machine.verdict;
}

// An expectation that names no filesystem is of those that the program was run on.
std::vector<Machine> machines() {
  std::vector<Machine> all;
  for (const Expectation& e : load_scenario(kName).expect) {
    const std::vector<std::string> personas =
        e.persona ? std::vector{*e.persona} : std::vector<std::string>{"ext4", "btrfs", "xfs"};
    for (const std::string& persona : personas) all.push_back({*e.kernel, persona, e.verdict});
  }
  return all;
}

RunResult result_on(const Machine& machine) {
  Overrides overrides;
  overrides.kernel = machine.kernel;
  overrides.persona = machine.persona;
  overrides.no_detect = {"lock-order"};  // the fix of 6.12.96 has one: docs/FINDINGS.md
  ScenarioWorld world(0, configure(load_scenario(kName), std::move(overrides)));
  const auto strategy = make_strategy(world, "keep-running");
  return world.world().run(*strategy, world.run_options());
}

unsigned count(const RunResult& result, FindingKind kind) {
  return static_cast<unsigned>(std::ranges::count(
      result.findings, kind, [](const Finding& finding) { return finding.kind; }));
}

// "REPRODUCED iter=0 bad_bytes=16384 first_bad=0 zero_count=16384"
void expect_reproduced(const RunResult& result) {
  EXPECT_EQ(count(result, FindingKind::kLostDirtyData), 4u) << "pages";
  ASSERT_EQ(count(result, FindingKind::kUnexpectedReturn), 1u);
  EXPECT_THAT(result.findings.back().message,
              HasSubstr("differs in 16384 of 16384 bytes, 16384 of which are zero; the first is "
                        "byte 0"));
}

// "MADV_COLLAPSE failed at file_off=0: Invalid argument"
void expect_collapse_refused(const RunResult& result) {
  ASSERT_FALSE(result.findings.empty());
  const Finding& first = result.findings.front();
  EXPECT_EQ(first.kind, FindingKind::kUnexpectedReturn);
  EXPECT_THAT(first.message, HasSubstr("madvise(p, 2M, MADV_COLLAPSE) = 0 returned -22"));
  EXPECT_EQ(count(result, FindingKind::kLostDirtyData), 0u);
}

class Reproducer : public testing::TestWithParam<Machine> {};

TEST_P(Reproducer, PrintsWhatItPrintedThere) {
  const RunResult result = result_on(GetParam());
  EXPECT_EQ(verdict_of(result), GetParam().verdict);
  if (GetParam().verdict == "lost-dirty-data") expect_reproduced(result);
  if (GetParam().verdict == "unexpected-return") expect_collapse_refused(result);
  // A second or so; the limit is five.
  EXPECT_LT(result.steps, 3'000'000u);
}

INSTANTIATE_TEST_SUITE_P(All, Reproducer, testing::ValuesIn(machines()), [](const auto& machine) {
  std::string name = machine.param.kernel + "_" + machine.param.persona;
  std::ranges::replace(name, '.', '_');
  return name;
});

}  // namespace
}  // namespace interleaf
