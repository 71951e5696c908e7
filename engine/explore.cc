// SPDX-License-Identifier: GPL-2.0-only
#include "engine/explore.h"

#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/explore_unbounded.h"
#include "engine/kernel/patch_watch.h"
#include "engine/user_error.h"
#include "engine/version.h"
#include "scheduler/search/checkpoint_file.h"

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
    sizes.append(name).append("=").append(value).append(" ");
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

// Of everything that is wrong with a run, each once, sorted.
std::vector<std::string> signatures_in(const RunResult& run) {
  std::vector<std::string> signatures;
  for (const Finding& finding : run.findings) signatures.push_back(finding.signature());
  std::sort(signatures.begin(), signatures.end());
  signatures.erase(std::unique(signatures.begin(), signatures.end()), signatures.end());
  return signatures;
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
  if (options.every_finding) bounded.signatures = signatures_in;
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

BoundedResult explore_orders(const WithWorld& with_world, const BoundedOptions& bounded,
                             bool unbounded, double& done) {
  try {
    return unbounded ? explore_unbounded(with_world, bounded, done)
                     : explore_bounded(with_world, bounded);
  } catch (const CheckpointError& error) {
    throw UserError(error.what());
  }
}

// The power cuts of all orders: a CrashSearch for every worker.
class Cuts {
 public:
  Cuts(std::shared_ptr<const Configuration> configuration, const CrashBudget& budget)
      : configuration_(std::move(configuration)), budget_(budget) {}

  // Calls work(); what the worker that has `world` judges meanwhile counts. Thread-safe.
  void serve(unsigned slot, const World& world, const std::function<void()>& work) {
    CrashSearch search(kFirstSlot + slot, configuration_, budget_);
    {
      const std::lock_guard lock(mutex_);
      searches_[&world] = &search;
    }
    work();
    const std::lock_guard lock(mutex_);
    searches_.erase(&world);
    report_.merge(search.report());
  }

  // Called by the worker that has `world`.
  std::vector<std::string> judge(const World& world, const RunResult& run) {
    CrashSearch* search = nullptr;
    {
      const std::lock_guard lock(mutex_);
      search = searches_.at(&world);
    }
    if (run.left == 0) return search->judge(run.schedule);
    search->skip();  // it has no end to judge
    return {};
  }

  // When all have ended. Empty if there is a hidden dependence, which the report has then.
  std::optional<ExploreFinding> show(const BoundedFinding& found) {
    CrashSearch search(kFirstSlot, configuration_, budget_);
    std::optional<CrashFinding> cut = search.show(found.schedule, found.signature);
    report_.merge(search.report());
    if (!cut) return std::nullopt;
    ExploreFinding finding;
    finding.count = found.count;
    finding.run = std::move(cut->run);
    Origin origin;
    origin.strategy = "explore";
    finding.recording = make_recording(*configuration_, finding.run, origin);
    finding.recording.cut = cut->cut;
    return finding;
  }

  const CrashReport& report() const { return report_; }

 private:
  static constexpr unsigned kFirstSlot = 64;  // behind the workers' own

  std::shared_ptr<const Configuration> configuration_;
  CrashBudget budget_;
  std::mutex mutex_;
  std::map<const World*, CrashSearch*> searches_;  // mutex_; looked up only
  CrashReport report_;                             // mutex_
};

bool is_power_cut(const std::string& signature) {
  return signature.starts_with(finding_name(FindingKind::kLostAfterPowerCut));
}

}  // namespace

ExploreReport explore(const std::shared_ptr<const Configuration>& configuration,
                      const ExploreOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  BoundedOptions bounded = bounded_options(configuration, options);
  {
    const ScenarioWorld world(0, configuration);
    bounded.run = world.run_options();
    bounded.run.retries_max = options.retries_max;
  }
  std::optional<Cuts> cuts;
  if (options.crash) {
    if (!options.resume.empty()) {
      throw UserError("--crash keeps no state of the search: it cannot be resumed");
    }
    cuts.emplace(configuration, options.crash_budget);
    bounded.judge = [&](const World& world, const RunResult& run, const Hash128&) {
      return cuts->judge(world, run);
    };
  }
  const kernel::patch_watch watch;
  std::mutex asked_lock;
  kernel::patch_set asked_by_workers = 0;  // asked_lock
  const WithWorld with_world = [&](unsigned slot, const std::function<void(World&)>& work) {
    const kernel::patch_watch own;
    {
      ScenarioWorld world(slot, configuration);
      if (cuts) {
        cuts->serve(slot, world.world(), [&] { work(world.world()); });
      } else {
        work(world.world());
      }
    }
    const std::lock_guard hold(asked_lock);
    asked_by_workers |= own.asked();
  };
  ExploreReport report;
  report.search = explore_orders(with_world, bounded, options.unbounded, report.done);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ScenarioWorld world(0, configuration);
  for (const BoundedFinding& found : report.search.findings) {
    if (!is_power_cut(found.signature)) {
      report.findings.push_back(keep(world, found));
    } else if (auto finding = cuts->show(found)) {
      report.findings.push_back(std::move(*finding));
    }
  }
  if (cuts) report.crash = cuts->report();
  if (report.findings.empty()) look_at_window(world, report);
  report.patches_asked = watch.asked() | asked_by_workers;
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
