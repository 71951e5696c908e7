// SPDX-License-Identifier: GPL-2.0-only
// What the fixes close and what they leave open, by all orders with at most one preemption of small
// workloads of the THP scenarios: the tables of docs/FINDINGS.md, "What closes what".
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

// Less to do than in the scenarios: 2 pages to a huge page, no readahead, no flusher, no close().
std::string workload(std::string_view pages, std::string_view tasks) {
  return "title: t\nkernel: 6.12.95\npersona: ext4\n"
         "geometry: {hpage_pages: 2, readahead_pages: 0}\n"
         "files:\n  f: {size: " +
         std::string(pages) + ", content: pattern(7)}\ntasks:\n" + std::string(tasks) +
         "expect: {verdict: clean}\n";
}

constexpr char kWriter[] =
    "  writer:\n    - fd = open(\"f\", O_RDWR)\n    - pwrite(fd, pattern(91), 4K, 1H)\n"
    "    - close(fd)\n";
constexpr char kCollapse[] =
    "    - rd = open(\"f\", O_RDONLY)\n    - p = mmap(rd, 0, 1H, PROT_READ, MAP_PRIVATE)\n"
    "    - touch(p, 1H)\n    - madvise(p, 1H, MADV_COLLAPSE)\n";
constexpr char kCollapseTwo[] =
    "    - rd = open(\"f\", O_RDONLY)\n    - p = mmap(rd, 0, 2H, PROT_READ, MAP_PRIVATE)\n"
    "    - touch(p, 2H)\n    - madvise(p, 1H, MADV_COLLAPSE)\n"
    "    - madvise(p + 1H, 1H, MADV_COLLAPSE)\n";
constexpr char kOpen[] = "    - fd = open(\"f\", O_RDWR)\n";

std::string task(const char* name, const char* waits_for, const std::string& calls) {
  const std::string wait =
      waits_for == nullptr ? "" : "    - wait(" + std::string(waits_for) + ")\n";
  return "  " + std::string(name) + ":\n" + wait + calls;
}

// In the order of the tables' columns.
std::vector<std::string> workloads() {
  return {
      workload("1H", kWriter + task("collapser", "writer", kCollapse) +
                         task("opener", "collapser", kOpen)),
      workload("1H",
               kWriter + task("collapser", "writer", kCollapse) + task("opener", "writer", kOpen)),
      workload("2H", task("collapser", nullptr, kCollapse) + task("opener", "collapser", kOpen) +
                         task("second", "collapser",
                              kOpen + std::string("    - pwrite(fd, pattern(91), 4K, 1H)\n"))),
      workload("2H", task("collapser", nullptr, kCollapseTwo) + task("opener", nullptr, kOpen)),
  };
}

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

std::string outcome(const Row& row, const std::string& text) {
  Overrides overrides;
  overrides.kernel = row.kernel;
  overrides.persona = row.persona;
  overrides.with = row.with;
  ExploreOptions options;
  options.ignore = {"lock-order:"};
  const ExploreReport report =
      explore(configure(parse_scenario(text, "t.yaml"), overrides), options);
  if (report.findings.empty()) return report.search.complete ? "closed" : "unknown";
  const std::string verdict = verdict_of(report.findings.front().run.result);
  return verdict == "lost-dirty-data" ? "lost" : verdict;
}

class ThpFixes : public testing::TestWithParam<Row> {};

TEST_P(ThpFixes, CloseWhatTheTableSays) {
  std::string outcomes;
  for (const std::string& text : workloads()) {
    outcomes += (outcomes.empty() ? "" : " ") + outcome(GetParam(), text);
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
