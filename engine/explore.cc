// SPDX-License-Identifier: GPL-2.0-only
#include "engine/explore.h"

#include <algorithm>
#include <chrono>

namespace interleaf {
namespace {

// Schedules spread evenly over all that are offered, however many there will be.
class Sample {
 public:
  void offer(const Schedule& schedule) {
    if (offered_++ % stride_ != 0) return;
    schedules_.push_back(schedule);
    if (schedules_.size() < kMost) return;
    for (std::size_t i = 0; i < kMost / 2; ++i) schedules_[i] = std::move(schedules_[2 * i]);
    schedules_.resize(kMost / 2);
    stride_ *= 2;
  }
  const std::vector<Schedule>& schedules() const { return schedules_; }

 private:
  static constexpr std::size_t kMost = 512;

  std::vector<Schedule> schedules_;
  std::uint64_t offered_ = 0;
  std::uint64_t stride_ = 1;
};

// Silence is no success: was the racy window reached in one of these runs?
void look_at_window(ScenarioWorld& world, const Sample& sample, ExploreReport& report) {
  const Scenario& scenario = world.configuration().scenario;
  if (scenario.window.empty()) return;
  report.window_reached = false;
  std::vector<bool> ever(scenario.window.size());
  for (const Schedule& schedule : sample.schedules()) {
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

}  // namespace

ExploreReport explore(const std::shared_ptr<const Configuration>& configuration,
                      const ExploreOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  ScenarioWorld world(0, configuration);
  ExploreReport report;
  Sample sample;
  const auto ignored = [&](const std::string& signature) {
    return std::any_of(options.ignore.begin(), options.ignore.end(),
                       [&](const std::string& prefix) { return signature.starts_with(prefix); });
  };

  BoundedOptions bounded;
  bounded.preemptions_max = options.preemptions_max;
  bounded.seconds_max = options.seconds_max;
  bounded.snapshots = options.snapshots;
  bounded.stop_at_first = !options.keep_going;
  bounded.verify_cache = options.verify_cache;
  bounded.run = world.run_options();
  bounded.signature = [&](const RunResult& run) {
    std::string signature = signature_of(run);
    return ignored(signature) ? std::string() : signature;
  };
  bounded.ended = [&](const RunResult& run, const Hash128&) {
    const std::string signature = signature_of(run);
    if (!ignored(signature) && !run.clean()) return;
    sample.offer(run.schedule);  // of all that speak for "clean"
    if (!run.clean()) ++report.ignored[signature];
  };
  report.search = explore_bounded(world.world(), bounded);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const BoundedFinding& found : report.search.findings) {
    report.findings.push_back(keep(world, found));
  }
  if (report.findings.empty()) look_at_window(world, sample, report);
  return report;
}

}  // namespace interleaf
