// SPDX-License-Identifier: GPL-2.0-only
// What the fixes close and what they leave open, by all orders with at most one preemption of the
// small THP scenarios: the tables of docs/FINDINGS.md, "What closes what".
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "engine/explore.h"
#include "engine/report.h"
#include "engine/scenario.h"

namespace interleaf {
namespace {

// In the order of the tables' columns.
constexpr const char* kWorkloads[] = {"thp-small-write-open", "thp-small-vs-collapse",
                                      "thp-small-vs-purge", "thp-small-deadlock"};

struct Row {
  const char* kernel;
  const char* persona;
  std::vector<std::string> with;
  const char* outcome;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.kernel;
  for (const std::string& slug : row.with) *out << " + " << slug;
}

std::string outcome(const Row& row, const char* workload) {
  Overrides overrides;
  overrides.kernel = row.kernel;
  overrides.persona = row.persona;
  overrides.with = row.with;
  ExploreOptions options;
  options.ignore = {"lock-order:"};
  const ExploreReport report = explore(configure(load_scenario(workload), overrides), options);
  if (report.findings.empty()) return report.search.complete ? "closed" : "unknown";
  const std::string verdict = verdict_of(report.findings.front().run.result);
  return verdict == "lost-dirty-data" ? "lost" : verdict;
}

class ThpFixes : public testing::TestWithParam<Row> {};

TEST_P(ThpFixes, CloseWhatTheTableSays) {
  std::string outcomes;
  for (const char* workload : kWorkloads) {
    outcomes += (outcomes.empty() ? "" : " ") + outcome(GetParam(), workload);
  }
  EXPECT_EQ(outcomes, GetParam().outcome);
}

const std::string kBefore = "open-flush-before-purge";
const std::string kUnder = "open-flush-under-lock";
const std::string kRecheck = "open-recheck-under-lock";
const std::string kCheck = "open-check-under-lock";
const std::string kClean = "open-purge-clean-only";
const std::string kRefuse = "open-refuse-thp";
const std::string kTrylock = "khugepaged-flush-trylock";

const Row kRows[] = {
    {"6.12.95", "", {}, "lost lost lost deadlock"},
    {"6.12.95", "", {kBefore}, "closed closed lost deadlock"},
    {"6.12.95", "", {kUnder}, "closed closed lost deadlock"},
    {"6.12.95", "", {kRecheck}, "lost lost lost deadlock"},
    {"6.12.95", "", {kCheck}, "lost lost closed deadlock"},
    {"6.12.95", "", {kClean}, "closed closed closed closed"},
    {"6.12.95", "", {kRefuse}, "closed closed closed closed"},
    {"6.12.96", "", {}, "closed lost lost deadlock"},
    {"6.12.96", "", {kBefore}, "closed closed lost deadlock"},
    {"6.12.96", "", {kUnder}, "closed closed lost deadlock"},
    {"6.12.96", "", {kRecheck}, "closed closed lost deadlock"},
    {"6.12.96", "", {kCheck}, "closed closed closed deadlock"},
    {"6.12.96", "", {kClean}, "closed closed closed deadlock"},
    {"6.12.96", "", {kRefuse}, "closed closed closed closed"},
    {"6.12.96", "", {kTrylock}, "closed lost lost deadlock"},
    {"6.12.96", "", {kTrylock, kRecheck}, "closed closed lost deadlock"},
    {"6.12.96", "", {kTrylock, kCheck}, "closed closed closed deadlock"},
    {"6.12.96", "", {kTrylock, kClean}, "closed closed closed closed"},
    {"7.2", "xfs", {}, "closed closed closed closed"},
};

INSTANTIATE_TEST_SUITE_P(All, ThpFixes, testing::ValuesIn(kRows), [](const auto& each) {
  std::string name = each.param.kernel;
  for (const std::string& slug : each.param.with) name += "_" + slug;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
});

}  // namespace
}  // namespace interleaf
