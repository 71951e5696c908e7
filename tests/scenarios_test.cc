// SPDX-License-Identifier: GPL-2.0-only
// Goes over every scenario and every expectation in it: the verdict without the fix, clean with
// it, the window reached.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/expectation.h"
#include "engine/fuzz.h"
#include "engine/report.h"
#include "engine/user_error.h"
#include "tests/searched_scenarios.h"

namespace interleaf {
namespace {

struct Case {
  std::string scenario;
  std::size_t expectation;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.scenario << " #" << c.expectation; }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string& name : searched_scenarios()) {
    const std::size_t count = load_scenario(name).expect.size();
    for (std::size_t i = 0; i < count; ++i) all.push_back({name, i});
  }
  return all;
}

std::shared_ptr<const Configuration> configured(const Scenario& scenario, const Expectation& e) {
  Overrides overrides;
  overrides.kernel = e.kernel.value_or("");
  overrides.persona = e.persona.value_or("");
  overrides.with = e.with;
  overrides.without = e.without;
  return configure(scenario, overrides);
}

std::string shown(const Configuration& configuration, const FuzzFinding& finding) {
  return cpu_table(configuration, finding.run, {}) + consequence(finding.run) + "seed " +
         std::to_string(finding.seed) + ", interleaf fuzz " + configuration.scenario.name;
}

// True if one of the scenario's tables happens, reaches the window and has the expected verdict.
bool shown_by_a_table(const Scenario& scenario,
                      const std::shared_ptr<const Configuration>& configuration,
                      const Expectation& expectation) {
  ScenarioWorld world(0, configuration);
  for (const TableSpec& table : scenario.tables) {
    const auto strategy = make_table(world.rows_of(table));
    const TracedRun run = run_traced(world, *strategy, 0);
    const std::vector<bool> reached = windows_reached(scenario, run.trace);
    if (strategy->satisfied() == strategy->rows().size() &&
        std::find(reached.begin(), reached.end(), false) == reached.end() &&
        verdict_of(run.result) == expectation.verdict) {
      return true;
    }
  }
  return false;
}

class Scenarios : public testing::TestWithParam<Case> {};

TEST_P(Scenarios, ComeOutAsTheyExpect) {
  const Scenario scenario = load_scenario(GetParam().scenario);
  const Expectation& expectation = scenario.expect[GetParam().expectation];
  const auto configuration = configured(scenario, expectation);
  if (expectation.verdict != "clean" && shown_by_a_table(scenario, configuration, expectation)) {
    return;  // a schedule is proof enough; random ones may be rare
  }
  FuzzOptions options;
  options.seed_last = 19'999;
  options.jobs = 2;
  options.ignore = expectation.known;
  // Clean is clean of everything; of a loss the first one is enough.
  options.keep_going = expectation.verdict == "unknown";
  const FuzzReport report = fuzz(configuration, options, nullptr);
  if (expectation.verdict != "unknown") {  // nothing is claimed there
    EXPECT_TRUE(report.window_reached) << testing::PrintToString(report.window_missed);
  }
  if (expectation.verdict == "clean") {
    EXPECT_EQ(report.runs, 20'000u);
    ASSERT_TRUE(report.findings.empty()) << shown(*configuration, report.findings.front());
  } else if (expectation.verdict != "unknown") {
    ASSERT_FALSE(report.findings.empty()) << "nothing found in " << report.runs << " runs";
    const FuzzFinding& found = report.findings.front();
    EXPECT_EQ(verdict_of(found.run.result), expectation.verdict) << shown(*configuration, found);
  }
}

TEST_P(Scenarios, RunTheSameTwice) {
  const Scenario scenario = load_scenario(GetParam().scenario);
  FuzzOptions options;
  options.seed_last = 499;
  options.twice = true;
  options.keep_going = true;
  options.minimize = false;
  const auto configuration = configured(scenario, scenario.expect[GetParam().expectation]);
  EXPECT_EQ(fuzz(configuration, options, nullptr).nondeterminism, "");
}

INSTANTIATE_TEST_SUITE_P(All, Scenarios, testing::ValuesIn(cases()), [](const auto& each) {
  std::string name = each.param.scenario + "_" + std::to_string(each.param.expectation);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A column may be that of a task of the filesystem or the machine; its rows were once ignored.
TEST(ScenarioTables, MayNameTheKernelsOwnTasks) {
  const std::string text =
      "title: x\nkernel: 6.12.95\npersona: ext4\nfiles:\n  f: absent\n"
      "tasks:\n  a:\n    - fd = open(\"f\", O_RDWR|O_CREAT)\n"
      "    - pwrite(fd, pattern(1), 4K, 0)\n    - fsync(fd)\n"
      "table: |\n  a                         kjournald2\n"
      "  generic_perform_write\n"
      "  jbd2_log_wait_commit\n"
      "                            jbd2_journal_commit_transaction\n"
      "expect: {verdict: clean}\n";
  const Scenario scenario = parse_scenario(text, "t.yaml");
  ScenarioWorld world(0, configure(scenario, {}));
  const std::vector<Row> rows = world.rows_of(scenario.tables.front());
  ASSERT_EQ(rows.size(), 3u);
  const auto strategy = make_table(rows);
  run_traced(world, *strategy, 0);
  EXPECT_EQ(strategy->satisfied(), 3u);
  Overrides other;
  other.persona = "xfs";
  const ScenarioWorld without(1, configure(scenario, other));
  EXPECT_THROW(without.rows_of(scenario.tables.front()), UserError);
}

// The tables in a scenario are schedules: each one must be possible and show the first
// expectation's verdict.
TEST(ScenarioTables, HappenAndShowTheFirstVerdict) {
  for (const std::string& name : searched_scenarios()) {
    const Scenario scenario = load_scenario(name);
    const auto configuration = configured(scenario, scenario.expect.front());
    for (const TableSpec& spec : scenario.tables) {
      ScenarioWorld world(0, configuration);
      const auto strategy = make_table(world.rows_of(spec));
      const TracedRun run = run_traced(world, *strategy, 0);
      EXPECT_EQ(strategy->satisfied(), strategy->rows().size())
          << name << "\n"
          << cpu_table(*configuration, run, {});
      EXPECT_EQ(verdict_of(run.result), scenario.expect.front().verdict)
          << name << "\n"
          << cpu_table(*configuration, run, {}) << consequence(run);
    }
  }
}

}  // namespace
}  // namespace interleaf
