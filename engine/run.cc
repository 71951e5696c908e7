// SPDX-License-Identifier: GPL-2.0-only
#include "engine/run.h"

#include <fmt/format.h>

#include <map>
#include <tuple>

#include "engine/version.h"
#include "scheduler/strategies/learning.h"

namespace interleaf {
namespace {

// How often a task came to this access of this function so far.
class AccessCounts {
 public:
  std::uint64_t count(const TraceEvent& event) {
    return ++counts_[{event.task, event.function, event.op}];
  }

 private:
  std::map<std::tuple<TaskId, const Function*, Op>, std::uint64_t> counts_;
};

std::string function_name(const TraceEvent& event) {
  return event.function == nullptr ? "-" : event.function->name;
}

}  // namespace

TracedRun run_traced(ScenarioWorld& world, Strategy& strategy, std::uint64_t seed, bool named) {
  TracedRun run;
  run.trace.named = named;
  TraceCollector collector(run.trace);
  RunOptions options = world.run_options(seed);
  options.observer = &collector;
  run.result = world.world().run(strategy, options);
  collector.finish(world.world().scheduler());
  if (auto* learning = dynamic_cast<LearningStrategy*>(&strategy)) learning->ended(run.result);
  return run;
}

std::string verdict_of(const RunResult& result) {
  const Finding* finding = result.verdict();
  return std::string(finding == nullptr ? "clean" : finding_name(finding->kind));
}

std::string signature_of(const RunResult& result) {
  const Finding* finding = result.verdict();
  return finding == nullptr ? "" : finding->signature();
}

std::string digest_text(std::uint64_t digest) { return fmt::format("{:016x}", digest); }

std::vector<Recording::Switch> switches_of(const Trace& trace) {
  std::vector<const TraceEvent*> steps;
  for (const TraceEvent& event : trace.events) {
    if (event.kind == TraceEvent::Kind::kStep) steps.push_back(&event);
  }
  std::vector<std::uint64_t> nth(steps.size());
  AccessCounts counts;
  for (std::size_t i = 0; i < steps.size(); ++i) nth[i] = counts.count(*steps[i]);
  // The access a task was about to make is the next one it makes, or announced when the run ended.
  const std::size_t performed = steps.size();
  std::vector<std::size_t> next_of_task(performed);
  std::vector<std::size_t> upcoming(trace.tasks.size(), performed + trace.announced.size());
  for (const TraceEvent& event : trace.announced) {
    upcoming[event.task] = steps.size();
    steps.push_back(&event);
    nth.push_back(counts.count(event));
  }
  for (std::size_t i = performed; i-- > 0;) {
    next_of_task[i] = upcoming[steps[i]->task];
    upcoming[steps[i]->task] = i;
  }
  std::vector<Recording::Switch> switches;
  for (std::size_t i = 0; i < performed; ++i) {
    const TraceEvent& step = *steps[i];
    const bool first = i == 0;
    if (!first && steps[i - 1]->task == step.task) continue;
    // The policy keeps the running task, else takes the lowest id: only deviations are noted.
    const bool preemption = !first && step.previous_runnable;
    if (!preemption && step.task == step.lowest) continue;
    Recording::Switch entry;
    entry.kind =
        preemption ? Recording::Switch::Kind::kPreemption : Recording::Switch::Kind::kBlock;
    entry.step = step.step;
    entry.to = trace.tasks[step.task];
    entry.task = first ? "-" : trace.tasks[steps[i - 1]->task];
    const std::size_t about_to = first ? steps.size() : next_of_task[i - 1];
    const bool goes_on = about_to < steps.size();
    entry.function = goes_on ? function_name(*steps[about_to]) : "-";
    entry.access = goes_on ? op_name(steps[about_to]->op) : first ? "begin" : "end";
    entry.nth = goes_on ? nth[about_to] : 1;
    switches.push_back(std::move(entry));
  }
  return switches;
}

Recording make_recording(const Configuration& configuration, const TracedRun& run,
                         const Origin& origin) {
  Recording recording;
  recording.tool_version = version();
  recording.scenario_name = configuration.scenario.name;
  recording.scenario_text = configuration.scenario.text;
  recording.scenario_digest = scenario_digest_of(recording.scenario_text);
  recording.kernel = configuration.kernel->name;
  recording.patches = configuration.patch_slugs();
  recording.patches_with = configuration.overrides.with;
  recording.patches_without = configuration.overrides.without;
  recording.persona = configuration.persona->name;
  for (const auto& [key, value] : configuration.overrides.settings) {
    recording.settings.push_back({key, value});
  }
  recording.detectors = detector_names(configuration.detectors);
  recording.strategy = origin.strategy;
  recording.seed = origin.seed;
  recording.note = origin.note;
  recording.choices = run.result.schedule;
  recording.switches = switches_of(run.trace);
  recording.steps = run.result.steps;
  recording.final_digest = run.result.digest;
  recording.preemptions = run.result.preemptions;
  recording.verdict = verdict_of(run.result);
  recording.signature = signature_of(run.result);
  if (const Finding* finding = run.result.verdict()) recording.evidence = finding->message;
  std::map<std::pair<TaskId, std::string>, std::uint64_t> chosen;
  for (const TraceEvent& event : run.trace.events) {
    if (event.kind != TraceEvent::Kind::kChoice) continue;
    const std::string& kind = run.trace.texts[event.text];
    recording.data_choices.push_back(
        {run.trace.tasks[event.task], kind, ++chosen[{event.task, kind}], event.object});
  }
  std::uint64_t next = 1;
  for (const TraceEvent& event : run.trace.events) {
    if (event.kind != TraceEvent::Kind::kStep || event.step < next) continue;
    recording.checkpoints.push_back({event.step, event.digest});
    while (next <= event.step) next *= 2;
  }
  return recording;
}

std::string window_text(const WindowSpec& window) {
  return (window.task.empty() ? "" : window.task + ":") + window.function +
         (window.nth == 1 ? "" : "#" + std::to_string(window.nth));
}

std::vector<bool> windows_reached(const Scenario& scenario, const Trace& trace) {
  std::vector<bool> reached;
  for (const WindowSpec& window : scenario.window) {
    std::uint64_t entered = 0;
    for (const TraceEvent& event : trace.events) {
      if (event.kind != TraceEvent::Kind::kEnter || window.function != event.function->name)
        continue;
      if (window.task.empty() || window.task == trace.tasks[event.task]) ++entered;
    }
    reached.push_back(entered >= window.nth);
  }
  return reached;
}

}  // namespace interleaf
