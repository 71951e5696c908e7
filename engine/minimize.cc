// SPDX-License-Identifier: GPL-2.0-only
#include "engine/minimize.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/replay.h"
#include "engine/scenario_text.h"
#include "engine/shrink.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

RecordingCounts counts_of(const Configuration& configuration, const TracedRun& run) {
  RecordingCounts counts;
  counts.workload = counts_of(configuration.scenario);
  for (const TraceEvent& event : run.trace.events) {
    counts.data_choices += event.kind == TraceEvent::Kind::kChoice && event.object != 0;
  }
  counts.preemptions = run.result.preemptions;
  counts.switches = run.result.switches;
  counts.steps = run.result.steps;
  return counts;
}

Recording::Minimality minimality_of(const MinimumResult& found) {
  Recording::Minimality known;
  known.one_minimal = found.found.one_minimal;
  if (found.hidden_dependence) {
    known.text = "the search missed this finding: tasks share what they do not announce";
  } else {
    known.preemptions = static_cast<std::uint64_t>(found.clean_up_to) + 1;
    known.orders = found.orders;
    known.other_findings = found.other_findings;
    if (found.retry_cuts.orders != 0) {
      known.text = fmt::format("the search cut {} order{} in a loop", found.retry_cuts.orders,
                               found.retry_cuts.orders == 1 ? "" : "s");
    } else if (!found.is_minimum() && *found.budget != 0) {
      known.text = fmt::format("the search ran out of {}", found.budget);
    }
  }
  return known;
}

// True if every table of the scenario can happen in this world.
bool tables_happen(ScenarioWorld& world) {
  const Scenario& scenario = world.configuration().scenario;
  const RunOptions options = world.run_options();
  return std::all_of(scenario.tables.begin(), scenario.tables.end(), [&](const TableSpec& table) {
    const std::vector<Row> rows = world.rows_of(table);
    const auto strategy = make_table(rows);
    world.world().run(*strategy, options);
    return !strategy->stuck() && strategy->satisfied() == rows.size();
  });
}

std::shared_ptr<const Configuration> with_text(const Configuration& configuration,
                                               const std::string& text) {
  const Scenario& scenario = configuration.scenario;
  return configure(parse_scenario(text, scenario.name + ".yaml", configuration.overrides.settings),
                   configuration.overrides);
}

// The original text with the small workload, and with what of the tables and windows still holds.
std::shared_ptr<const Configuration> small_scenario(const Configuration& original,
                                                    const Configuration& small, const Trace& trace,
                                                    const std::string& verdict) {
  ScenarioEdit edit = edit_of(small.scenario, verdict);
  const std::vector<bool> reached = windows_reached(original.scenario, trace);
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (reached[i]) edit.window.push_back(original.scenario.window[i]);
  }
  const WorkloadCounts before = counts_of(original.scenario);
  const WorkloadCounts after = counts_of(small.scenario);
  const std::string headline =
      fmt::format("Minimised: {} of {} tasks, {} of {} calls of the scenario.", after.tasks,
                  before.tasks, after.calls, before.calls);
  for (const bool tables : {true, false}) {
    edit.tables = tables;
    const auto text = edited_text(original, edit);
    if (!text) continue;
    auto result = with_text(original, with_headline(headline, *text));
    if (!tables) return result;
    ScenarioWorld world(1, result);  // slot 0 is in use
    if (tables_happen(world)) return result;
  }
  return with_text(original, small.scenario.text);
}

}  // namespace

TracedRun checked_run(const Recording& recording, const std::string& purpose) {
  if (recording.verdict == "clean") {
    throw UserError("the recording is clean: there is nothing to " + purpose);
  }
  if (recording.cut) {
    throw UserError("the finding is of a power cut: its run is straight to the cut already", "",
                    "`explore --crash --preemptions K` finds the fewest preemptions of its order");
  }
  ReplayResult first = replay(recording);
  if (!first.exact) throw CannotJudge("replay diverged: " + first.divergence);
  if (!first.same_verdict) throw CannotJudge("replay diverged: it has another verdict now");
  const ReplayResult second = replay(recording);
  if (!second.exact || second.run.result.digest != first.run.result.digest) {
    throw CannotJudge("replay diverged: two runs have different digests");
  }
  return std::move(first.run);
}

MinimizeReport minimize_recording(const Recording& recording, const MinimizeOptions& options) {
  MinimizeReport report;
  const TracedRun given = checked_run(recording, "minimise");
  const auto original = configuration_of(recording);
  report.configuration = original;
  report.before = counts_of(*original, given);

  Schedule schedule = recording.choices;
  if (!options.keep_workload) {
    ShrinkResult shrunk = shrink_workload(recording, {});
    if (shrunk.configuration->scenario.text != original->scenario.text) {
      report.configuration = shrunk.configuration;
    }
    report.candidates = shrunk.candidates;
    report.runs += shrunk.runs;
    schedule = std::move(shrunk.recording.choices);
  }
  ScenarioWorld world(0, report.configuration);
  MinimumOptions minimum_options;
  minimum_options.run = world.run_options();
  minimum_options.search_runs = options.search_runs;
  minimum_options.search_retries = options.search_retries;
  minimum_options.search_seconds = options.search_seconds;
  const auto same = [&](const RunResult& run) { return signature_of(run) == recording.signature; };
  const MinimumResult found = minimum(world.world(), schedule, minimum_options, same);
  report.canonical = found.canonical;
  report.retry_cuts = found.retry_cuts;
  report.runs += found.runs;

  const auto replay = make_replay(found.found.run.schedule);
  report.run = run_traced(world, *replay, 0);
  if (report.configuration != original) {
    report.configuration =
        small_scenario(*original, *report.configuration, report.run.trace, recording.verdict);
  }
  report.after = counts_of(*report.configuration, report.run);
  report.recording = make_recording(*report.configuration, report.run,
                                    {.strategy = "minimize", .seed = 0, .note = recording.note});
  report.recording.provenance = recording.provenance;
  report.recording.minimality = minimality_of(found);
  return report;
}

}  // namespace interleaf
