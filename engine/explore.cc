// SPDX-License-Identifier: GPL-2.0-only
#include "engine/explore.h"

#include <xxhash.h>

#include <algorithm>
#include <chrono>

#include "engine/user_error.h"
#include "engine/version.h"
#include "scheduler/search/checkpoint.h"

namespace interleaf {
namespace {

constexpr std::size_t kWindowOrders = 512;  // traced to see whether the window was reached
constexpr unsigned kWalks = 2000;

// Silence is no success: was the racy window reached in one of these runs?
void look_at_window(ScenarioWorld& world, ExploreReport& report) {
  const Scenario& scenario = world.configuration().scenario;
  if (scenario.window.empty()) return;
  report.window_reached = false;
  std::vector<bool> ever(scenario.window.size());
  for (const Schedule& schedule : report.search.sample) {
    const auto replay = make_replay(schedule);
    const std::vector<bool> reached =
        windows_reached(scenario, run_traced(world, *replay, 0).trace);
    for (std::size_t w = 0; w < reached.size(); ++w) ever[w] = ever[w] || reached[w];
    if (std::find(reached.begin(), reached.end(), false) != reached.end()) continue;
    report.window_reached = true;
    return;
  }
  for (std::size_t w = 0; w < ever.size(); ++w) {
    if (!ever[w]) report.window_missed.push_back(window_text(scenario.window[w]));
  }
}

ExploreFinding keep(ScenarioWorld& world, const BoundedFinding& found) {
  ExploreFinding finding;
  finding.count = found.count;
  const auto replay = make_replay(found.schedule);
  finding.run = run_traced(world, *replay, 0);
  Origin origin;
  origin.strategy = "explore";
  finding.recording = make_recording(world.configuration(), finding.run, origin);
  return finding;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all;
}

// What the result depends on, but for the options that the search knows itself.
std::vector<std::pair<std::string, std::string>> identity_of(const Configuration& configuration,
                                                             const ExploreOptions& options) {
  const std::string& text = configuration.scenario.text;
  std::string sizes;
  for (const auto& [name, value] : configuration.overrides.settings)
    sizes += name + "=" + value + " ";
  return {{"interleaf", version()},
          {"scenario", configuration.scenario.name},
          {"digest of the scenario", digest_text(XXH64(text.data(), text.size(), 0))},
          {"kernel", configuration.kernel_text()},
          {"patches", joined(configuration.patch_slugs())},
          {"persona", std::string(configuration.persona->name)},
          {"--set", sizes},
          {"detectors", joined(detector_names(configuration.detectors))},
          {"--ignore", joined(options.ignore)}};
}

BoundedOptions bounded_options(const std::shared_ptr<const Configuration>& configuration,
                               const ExploreOptions& options) {
  BoundedOptions bounded;
  bounded.preemptions_max = options.preemptions_max;
  bounded.jobs = options.jobs;
  bounded.seconds_max = options.seconds_max;
  bounded.runs_max = options.runs_max;
  bounded.memory_max = options.memory_max;
  bounded.snapshots = options.snapshots;
  bounded.stop_at_first = !options.keep_going;
  bounded.verify_cache = options.verify_cache;
  bounded.signature = [](const RunResult& run) { return signature_of(run); };
  bounded.known = [&options](const std::string& signature) {
    return std::any_of(options.ignore.begin(), options.ignore.end(),
                       [&](const std::string& prefix) { return signature.starts_with(prefix); });
  };
  bounded.sample_max = configuration->scenario.window.empty() ? 0 : kWindowOrders;
  bounded.progress = options.progress;
  bounded.interrupted = options.interrupted;
  bounded.checkpoint = options.resume;
  bounded.checkpoint_seconds = options.resume_seconds;
  bounded.identity = identity_of(*configuration, options);
  return bounded;
}

}  // namespace

ExploreReport explore(const std::shared_ptr<const Configuration>& configuration,
                      const ExploreOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  BoundedOptions bounded = bounded_options(configuration, options);
  {
    const ScenarioWorld world(0, configuration);
    bounded.run = world.run_options();
  }
  const WithWorld with_world = [&](unsigned slot, const std::function<void(World&)>& work) {
    ScenarioWorld world(slot, configuration);
    work(world.world());
  };
  ExploreReport report;
  try {
    report.search = explore_bounded(with_world, bounded);
  } catch (const CheckpointError& error) {
    throw UserError(error.what());
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ScenarioWorld world(0, configuration);
  for (const BoundedFinding& found : report.search.findings) {
    report.findings.push_back(keep(world, found));
  }
  if (report.findings.empty()) look_at_window(world, report);
  return report;
}

ExploreEstimate estimate(const std::shared_ptr<const Configuration>& configuration,
                         unsigned preemptions_max) {
  ScenarioWorld world(0, configuration);
  const RunOptions run = world.run_options();
  return {estimate_schedules(world.world(), run, ScheduleEstimate::kAny, kWalks),
          estimate_schedules(world.world(), run, preemptions_max, kWalks)};
}

}  // namespace interleaf
