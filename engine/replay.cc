// SPDX-License-Identifier: GPL-2.0-only
#include "engine/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "engine/crash.h"
#include "engine/user_error.h"
#include "scheduler/strategies/keep_running.h"

namespace interleaf {
namespace {

// Keeps running but for the switches of a recording, which it finds by their landmarks. One that a
// task has gone beyond is passed over.
class LandmarkStrategy final : public Strategy {
 public:
  LandmarkStrategy(const Recording& recording, const Trace& trace)
      : recording_(recording), trace_(trace) {}

  void begin(std::uint64_t) override {}

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const HeapScope heap;  // the counts outlive the run
    count_new_events();
    const TaskId ran = scheduler.current_id();
    while (next_ < recording_.switches.size()) {
      const Recording::Switch& entry = recording_.switches[next_];
      if (entry.task != (ran == kNoTask ? "-" : scheduler.task(ran).name)) break;
      const Place place = compare(scheduler, entry);
      if (place == Place::kBefore) break;
      ++next_;
      const TaskId to = find(scheduler, entry.to);
      if (place == Place::kHere && to != kNoTask && (runnable & task_bit(to)) != 0) return to;
      missed_.push_back(fmt::format("{}:{}/{}#{}>{}", entry.task, entry.function, entry.access,
                                    entry.nth, entry.to));
    }
    return keep_running(scheduler, runnable);
  }

  unsigned pick_value(const Scheduler&, const char* kind, unsigned count) override {
    while (next_data_ < recording_.data_choices.size()) {
      const Recording::DataChoice& choice = recording_.data_choices[next_data_++];
      if (choice.kind == kind)
        return choice.value < count ? static_cast<unsigned>(choice.value) : 0;
    }
    return 0;
  }

  // What was never met counts as missed too.
  std::vector<std::string> missed() && {
    for (; next_ < recording_.switches.size(); ++next_) {
      const Recording::Switch& entry = recording_.switches[next_];
      missed_.push_back(fmt::format("{}:{}/{}#{}>{}", entry.task, entry.function, entry.access,
                                    entry.nth, entry.to));
    }
    return std::move(missed_);
  }

 private:
  enum class Place : std::uint8_t { kBefore, kHere, kBeyond };

  // Where the task that ran stands to a landmark of its own.
  Place compare(const Scheduler& scheduler, const Recording::Switch& entry) const {
    if (scheduler.current_id() == kNoTask) return Place::kHere;
    const Task& task = scheduler.task(scheduler.current_id());
    if (task.finished) return entry.access == "end" ? Place::kHere : Place::kBeyond;
    if (entry.access == "end") return Place::kBefore;
    const std::uint64_t done = count(task, entry);
    if (done >= entry.nth) return Place::kBeyond;
    const char* function = task.function() == nullptr ? "-" : task.function()->name;
    const bool announced = entry.function == function && entry.access == op_name(task.next.op);
    return announced && done + 1 == entry.nth ? Place::kHere : Place::kBefore;
  }

  void count_new_events() {
    for (; seen_ < trace_.events.size(); ++seen_) {
      const TraceEvent& event = trace_.events[seen_];
      if (event.kind == TraceEvent::Kind::kStep) {
        ++counts_[{event.task, event.function == nullptr ? "-" : event.function->name,
                   op_name(event.op)}];
      }
    }
  }

  // How often the task did the access of this landmark.
  std::uint64_t count(const Task& task, const Recording::Switch& entry) const {
    const auto found = counts_.find({task.id, entry.function, entry.access});
    return found == counts_.end() ? 0 : found->second;
  }

  static TaskId find(const Scheduler& scheduler, const std::string& name) {
    for (TaskId id = 0; id < scheduler.task_count(); ++id) {
      if (scheduler.task(id).name == name) return id;
    }
    return kNoTask;
  }

  const Recording& recording_;
  const Trace& trace_;
  std::size_t seen_ = 0;
  std::size_t next_ = 0;
  std::size_t next_data_ = 0;
  std::map<std::tuple<TaskId, std::string, std::string>, std::uint64_t> counts_;
  std::vector<std::string> missed_;
};

// Where a trace first leaves the recorded digests, in words; empty if it does not.
std::string first_difference(const Recording& recording, const TracedRun& run) {
  std::size_t at = 0;
  std::uint64_t agreed = 0;
  for (const Recording::Checkpoint& checkpoint : recording.checkpoints) {
    while (at < run.trace.events.size() && (run.trace.events[at].kind != TraceEvent::Kind::kStep ||
                                            run.trace.events[at].step < checkpoint.step)) {
      ++at;
    }
    if (at == run.trace.events.size()) {
      return fmt::format("the recording has {} steps, this run ended after {}", recording.steps,
                         run.result.steps);
    }
    const TraceEvent& event = run.trace.events[at];
    if (event.digest != checkpoint.digest) {
      return fmt::format(
          "between steps {} and {}: recorded digest {}, here {} ({} in {} is about to {})",
          agreed + 1, checkpoint.step, digest_text(checkpoint.digest), digest_text(event.digest),
          run.trace.tasks[event.task], event.function == nullptr ? "-" : event.function->name,
          op_name(event.op));
    }
    agreed = checkpoint.step;
  }
  if (run.result.steps != recording.steps || run.result.digest != recording.final_digest) {
    return fmt::format("after step {}: recorded {} steps and digest {}, here {} and {}", agreed,
                       recording.steps, digest_text(recording.final_digest), run.result.steps,
                       digest_text(run.result.digest));
  }
  return "";
}

}  // namespace

Detectors detectors_of(const Recording& recording) {
  try {
    return detectors_named(recording.detectors);
  } catch (const UserError& error) {
    throw CannotJudge(std::string("the recording needs what this program does not have: ") +
                      error.what());
  }
}

std::shared_ptr<const Configuration> configuration_of(const Recording& recording,
                                                      const Detectors& detectors) {
  Overrides overrides;
  overrides.kernel = recording.kernel;
  overrides.persona = recording.persona;
  overrides.with = recording.patches_with;
  overrides.without = recording.patches_without;
  for (const Recording::Setting& setting : recording.settings) {
    overrides.settings.emplace_back(setting.key, setting.value);
  }
  overrides.detectors = detectors;
  Scenario scenario = parse_scenario(recording.scenario_text, recording.scenario_name + ".yaml");
  try {
    return configure(std::move(scenario), std::move(overrides));
  } catch (const UserError& error) {
    throw CannotJudge(std::string("the recording needs what this program does not have: ") +
                      error.what());
  }
}

std::shared_ptr<const Configuration> configuration_of(const Recording& recording) {
  return configuration_of(recording, detectors_of(recording));
}

TracedRun run_by_landmarks(ScenarioWorld& world, const Recording& recording,
                           std::vector<std::string>* missed, bool named) {
  TracedRun run;
  run.trace.named = named;
  LandmarkStrategy strategy(recording, run.trace);
  TraceCollector collector(run.trace);
  RunOptions options = world.run_options();
  options.observer = &collector;
  run.result = world.world().run(strategy, options);
  collector.finish(world.world().scheduler());
  if (missed != nullptr) *missed = std::move(strategy).missed();
  return run;
}

ReplayResult replay(const Recording& recording, bool loose) {
  return replay(recording, loose, detectors_of(recording));
}

ReplayResult replay(const Recording& recording, bool loose, const Detectors& detectors,
                    bool named) {
  ReplayResult result;
  result.run.trace.named = named;
  result.configuration = configuration_of(recording, detectors);
  std::optional<ScenarioWorld> world;
  std::optional<CrashSearch> cuts;  // has a World of its own
  if (recording.cut) {
    cuts.emplace(0, result.configuration, CrashBudget{});
  } else {
    world.emplace(0, result.configuration);
  }
  if (!loose) {
    const auto strategy = make_replay(recording.choices);
    if (cuts) {
      cuts->replay(*strategy, *recording.cut, false, result.run);
    } else {
      result.run = run_traced(*world, *strategy, 0, named);
    }
    result.divergence = first_difference(recording, result.run);
    if (result.divergence.empty() && strategy->diverged()) {
      result.divergence = fmt::format("choice {} was not possible", strategy->diverged_at());
    }
    result.exact = result.divergence.empty();
  }
  if (!result.exact && cuts) {
    result.run = {};
    result.run.trace.named = named;
    LandmarkStrategy strategy(recording, result.run.trace);
    const bool cut = cuts->replay(strategy, *recording.cut, true, result.run);
    result.missed = std::move(strategy).missed();
    if (!cut) result.missed.push_back("the moment of the power cut");
  } else if (!result.exact) {
    result.run = run_by_landmarks(*world, recording, &result.missed, named);
  }
  result.same_verdict = verdict_of(result.run.result) == recording.verdict &&
                        signature_of(result.run.result) == recording.signature;
  return result;
}

}  // namespace interleaf
