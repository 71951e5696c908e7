// SPDX-License-Identifier: GPL-2.0-only
// Minimised recordings: still the same finding, never more preemptions, the same bytes whatever
// seed found it; no expectation that became hopeless; and the text of a scenario with parts taken
// away.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/expectation.h"
#include "engine/minimize.h"
#include "engine/replay.h"
#include "engine/report.h"
#include "engine/scenario_text.h"
#include "engine/slice.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

Recording run_of(const std::shared_ptr<const Configuration>& configuration, std::uint64_t seed) {
  ScenarioWorld world(0, configuration);
  const auto random = make_random();
  return make_recording(*configuration, run_traced(world, *random, seed), {"random", seed, ""});
}

std::shared_ptr<const Configuration> named(const std::string& scenario) {
  return configure(load_scenario(scenario), {});
}

MinimizeOptions quick() {
  MinimizeOptions options;
  options.search_runs = 500;
  return options;
}

TEST(MinimizeRecording, GivesTheSameBytesForTheSameBug) {
  const auto configuration = named("thp-write-open");
  std::vector<std::byte> first;
  unsigned tried = 0;
  for (std::uint64_t seed = 0; tried < 5; ++seed) {
    ASSERT_LT(seed, 100u);
    const Recording recording = run_of(configuration, seed);
    if (recording.verdict != "lost-dirty-data") continue;
    const MinimizeReport report = minimize_recording(recording, {});
    EXPECT_TRUE(report.canonical);
    const std::vector<std::byte> bytes = encode(report.recording);
    if (tried++ == 0) first = bytes;
    EXPECT_TRUE(bytes == first) << "seed " << seed;
    // And there is nothing more to take away from it.
    EXPECT_TRUE(encode(minimize_recording(report.recording, {}).recording) == first);
  }
}

TEST(MinimizeRecording, KeepsTheSignatureAndNeverAddsPreemptions) {
  for (const auto& entry :
       std::filesystem::directory_iterator(INTERLEAF_SOURCE_DIR "/recordings")) {
    if (entry.path().extension() != ".rec") continue;
    for (const bool keep_workload : {false, true}) {
      const Recording given = load(entry.path().string());
      if (given.cut) continue;  // its run goes straight to the cut
      MinimizeOptions options = quick();
      options.keep_workload = keep_workload;
      const MinimizeReport report = minimize_recording(given, options);
      const Recording small = decode(encode(report.recording), "bytes");
      EXPECT_EQ(small, report.recording);
      const ReplayResult again = replay(small);
      EXPECT_TRUE(again.exact) << again.divergence;
      EXPECT_EQ(small.signature, given.signature);
      EXPECT_LE(small.preemptions, given.preemptions) << entry.path();
      EXPECT_LE(small.steps, given.steps);
      ASSERT_TRUE(small.minimality);
      EXPECT_TRUE(!keep_workload || small.scenario_text == given.scenario_text);
    }
  }
}

TEST(MinimizeRecording, EmbedsAScenarioThatExpectsWhatItHas) {
  const auto configuration = named("canary");
  const MinimizeReport report = minimize_recording(run_of(configuration, 0), quick());
  EXPECT_LT(report.after.workload.calls, report.before.workload.calls);
  const auto read = configuration_of(report.recording);
  EXPECT_EQ(counts_of(read->scenario), report.after.workload);
  const Expectation* expectation = matching_expectation(*read);
  ASSERT_NE(expectation, nullptr);
  EXPECT_EQ(expectation->verdict, report.recording.verdict);
  EXPECT_TRUE(read->scenario.text.starts_with("# Minimised: "));
  EXPECT_EQ(report.recording.seed, 0u);
}

// A run of the first seed of pos that has the verdict.
Recording found_by_pos(const std::shared_ptr<const Configuration>& configuration,
                       std::string_view verdict) {
  ScenarioWorld world(0, configuration);
  const auto pos = make_pos();
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Recording recording =
        make_recording(*configuration, run_traced(world, *pos, seed), {"pos", seed, ""});
    if (recording.verdict == verdict) return recording;
  }
  ADD_FAILURE() << "no " << verdict;
  return {};
}

// The store was taken away once: what expect_load wants was then in no schedule.
TEST(MinimizeRecording, KeepsTheStoreWithoutWhichTheLoadFailsInEverySchedule) {
  const Recording given = found_by_pos(named("thp-purge-zaps-private"), "unexpected-return");
  const MinimizeReport report = minimize_recording(given, quick());
  EXPECT_LT(report.after.workload.calls, report.before.workload.calls);
  EXPECT_EQ(report.recording.signature, given.signature);
  EXPECT_NE(report.recording.scenario_text.find("store(q, pattern(5), "), std::string::npos)
      << report.recording.scenario_text;

  ScenarioWorld world(0, configuration_of(report.recording));
  const auto pos = make_pos();
  unsigned clean = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    clean += world.world().run(*pos, world.run_options(seed)).clean();
  }
  EXPECT_GT(clean, 0u) << report.recording.scenario_text;
  EXPECT_LT(clean, 200u);
}

TEST(MinimizeRecording, LeavesAWorkloadWhoseExpectationNeverHoldsAsItIs) {
  const auto configuration = configure(
      parse_scenario("title: t\nkernel: 6.12.95\nfiles:\n  f: {size: 16K, content: pattern(1)}\n"
                     "tasks:\n  a:\n    - fd = open(\"f\", O_RDONLY)\n    - read(fd, 4K)\n"
                     "    - expect_read(fd, pattern(2), 4K, 0)\n"
                     "  b:\n    - fd = open(\"f\", O_RDONLY)\n    - read(fd, 4K)\n"
                     "expect:\n  - {verdict: unexpected-return}\n",
                     "never.yaml"),
      {});
  const Recording given = found_by_pos(configuration, "unexpected-return");
  const MinimizeReport report = minimize_recording(given, quick());
  EXPECT_EQ(report.candidates, 0u);
  EXPECT_EQ(report.recording.scenario_text, given.scenario_text);
  EXPECT_EQ(report.after.workload, report.before.workload);
}

TEST(MinimizeRecording, RefusesWhatIsCleanOrDoesNotReplay) {
  EXPECT_THROW(minimize_recording(run_of(named("control"), 0), quick()), UserError);
  Recording recording = run_of(named("canary"), 0);
  recording.final_digest ^= 1;
  EXPECT_THROW(minimize_recording(recording, quick()), CannotJudge);
}

TEST(MinimizeRecording, SaysNoMoreThanWasSearched) {
  Recording recording;
  EXPECT_EQ(minimality_text(recording), "");
  EXPECT_EQ(minimality_line(recording), "");
  recording.preemptions = 2;
  recording.minimality = {2, "", 1284, false, true};
  EXPECT_EQ(minimality_text(recording), "minimum: 1 is clean, complete, 1,284 orders");
  recording.minimality->other_findings = true;
  EXPECT_EQ(minimality_text(recording),
            "minimum: 1 has only other findings, complete, 1,284 orders");
  recording.minimality = {1, "the search ran out of runs", 12, false, true};
  EXPECT_EQ(minimality_text(recording),
            "no single switch can go; 0 is clean, complete, 12 orders; the search ran out of runs");
  recording.minimality = {0, "", 0, false, false};
  EXPECT_EQ(minimality_text(recording), "cut short, may be more than needed");
}

constexpr std::string_view kLoops =
    "title: t  # remark\nkernel: 6.12.95\nfiles:\n  f: {size: 16K}\ntasks:\n  a:\n"
    "    - fd = open(\"f\", O_RDWR)\n    - loop: {times: 3, do: ['pwrite(fd, \"x: y\", 4, 8K)']}\n"
    "    - fsync(fd)\n  b:\n    - wait(a)\n    - fd = open(\"f\", O_RDONLY)\n    - read(fd, 8K)\n"
    "daemons: {flusher: , khugepaged: {scans: 2}}\nfaults: {bio: 2}\n"
    "table: |\n  a                b\n  do_dentry_open\n"
    "expect:\n  - {verdict: clean}\n  - {verdict: unknown}\n";

std::shared_ptr<const Configuration> loops() {
  return configure(parse_scenario(kLoops, "loops.yaml"), {});
}

TEST(Workload, WithoutACallIsWithoutWhatNeedsIt) {
  const Scenario scenario = loops()->scenario;
  EXPECT_EQ(counts_of(scenario), (WorkloadCounts{2, 6, 2, 2, 4 + 8192 + 3 + 8192}));
  EXPECT_EQ(without_calls(scenario, {2}).at(0).statements.size(), 2u);  // the loop is empty
  const std::vector<TaskSpec> without_open = without_calls(scenario, {0});
  ASSERT_EQ(without_open.size(), 1u);  // and no one can wait for a
  EXPECT_EQ(without_open[0].name, "b");
  EXPECT_EQ(without_open[0].statements.size(), 2u);
  EXPECT_EQ(without_task(scenario, 1).size(), 1u);
  EXPECT_EQ(without_calls(scenario, {0, 5}).size(), 0u);
  EXPECT_EQ(droppable_calls(scenario), (std::vector<std::size_t>{0, 1, 2, 3, 5, 6}));
}

TEST(Workload, NumbersBecomeSmallInTheTextOfTheCall) {
  const Scenario scenario = loops()->scenario;
  const std::vector<ShrinkableNumber> numbers = shrinkable_numbers(scenario);
  ASSERT_EQ(numbers.size(), 3u);
  EXPECT_EQ(numbers[0].smaller, (std::vector<std::uint64_t>{1, 1}));
  EXPECT_EQ(with_number(scenario, numbers[0], 1)[0].statements[1].times, 1u);
  EXPECT_EQ(numbers[1].smaller, (std::vector<std::uint64_t>{0, 4096}));
  EXPECT_EQ(with_number(scenario, numbers[1], 4096)[0].statements[1].body[0].text,
            "pwrite(fd, \"x: y\", 4, 4K)");
  EXPECT_EQ(with_number(scenario, numbers[2], 4096)[1].statements[2].text, "read(fd, 4K)");
}

TEST(ScenarioText, KeepsWhatDoesNotChangeAndReadsBack) {
  const auto configuration = loops();
  ScenarioEdit edit = edit_of(configuration->scenario, "lost-dirty-data");
  edit.tasks = without_calls(configuration->scenario, {3});
  edit.daemons.erase(edit.daemons.begin());
  edit.faults.clear();
  EXPECT_EQ(edited_text(*configuration, edit),
            "title: t  # remark\nkernel: 6.12.95\nfiles:\n  f: {size: 16K}\ntasks:\n  a:\n"
            "    - fd = open(\"f\", O_RDWR)\n    - loop:\n        times: 3\n        do:\n"
            "          - 'pwrite(fd, \"x: y\", 4, 8K)'\n  b:\n    - wait(a)\n"
            "    - fd = open(\"f\", O_RDONLY)\n    - read(fd, 8K)\n"
            "daemons:\n  - khugepaged: {scans: 2}\n"
            "expect: {verdict: lost-dirty-data}\n");
  edit.tasks.clear();
  EXPECT_EQ(edited_text(*configuration, edit), std::nullopt);
}

TEST(Slice, LeavesOutOnlyWholeCallsAndKeepsTheFinding) {
  const auto configuration = named("canary");
  ScenarioWorld world(0, configuration);
  const auto policy = make_keep_running();
  const TracedRun run = run_traced(world, *policy, 0);
  const Trace slice = slice_of(run);
  EXPECT_LT(slice.events.size(), run.trace.events.size());
  std::vector<int> depth(slice.tasks.size());
  bool finding = false;
  for (const TraceEvent& event : slice.events) {
    depth[event.task] += event.kind == TraceEvent::Kind::kEnter;
    depth[event.task] -= event.kind == TraceEvent::Kind::kLeave;
    EXPECT_GE(depth[event.task], 0);
    finding |= event.kind == TraceEvent::Kind::kStep && event.step == run.result.verdict()->step;
  }
  EXPECT_TRUE(finding);
  TableOptions folded;
  folded.full = false;
  const std::string table = cpu_table(*configuration, run, folded);
  EXPECT_EQ(table.find("bio_endio"), std::string::npos) << table;
  EXPECT_NE(table.find("// lost-dirty-data"), std::string::npos) << table;
  EXPECT_NE(table.find("pwrite(fd, pattern(91), 4K, 1H)"), std::string::npos) << table;
}

// The last copy is overwritten by the task that ends I/O: what counts is whose data that was.
TEST(Slice, FollowsWhatADaemonDoesToTheCallsBehindIt) {
  const auto configuration = named("iomap-stale-mapping-zeroes-data");
  ScenarioWorld world(0, configuration);
  const auto table =
      make_table({{1, "iomap_write_begin"}, {2, "fadvise"}, {1, "iomap_write_begin"}});
  const TracedRun run = run_traced(world, *table, 0);
  ASSERT_NE(run.result.verdict(), nullptr);
  EXPECT_EQ(run.trace.tasks[run.result.verdict()->task], "kworker/io");
  const std::string folded = cpu_table(*configuration, run, {.full = false});
  for (const char* call : {"pwrite(fd, pattern(65), 2K, 6K)", "pwrite(fd, pattern(87), 6K, 0)",
                           "sync_file_range(fd, 4K, 4K"}) {
    EXPECT_NE(folded.find(call), std::string::npos) << call << "\n" << folded;
  }
}

}  // namespace
}  // namespace interleaf
