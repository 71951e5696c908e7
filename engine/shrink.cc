// SPDX-License-Identifier: GPL-2.0-only
#include "engine/shrink.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "engine/replay.h"
#include "engine/run.h"
#include "engine/scenario_text.h"
#include "engine/user_error.h"
#include "engine/workload.h"
#include "scheduler/search/minimize.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kReduceRuns = 500;  // of a schedule that only serves the next candidates
constexpr unsigned kReductionsMax = 5;      // of seeds that have the finding, for one candidate

class Shrinker {
 public:
  Shrinker(const Recording& recording, const ShrinkOptions& options) : options_(options) {
    best_.configuration = configuration_of(recording);
    best_.recording = recording;
  }

  ShrinkResult shrink() {
    reduce_given();
    bool again = may_shrink();
    while (again) {
      again = drop_tasks();
      again |= drop_daemons();
      again |= drop_faults();
      again |= drop_calls();
      again |= lower_numbers();
    }
    return std::move(best_);
  }

 private:
  const Scenario& scenario() const { return best_.configuration->scenario; }

  bool drop_tasks() {
    bool dropped = false;
    for (std::size_t task = scenario().tasks.size(); task-- > 0;) {
      if (task >= scenario().tasks.size()) continue;  // others went with it
      ScenarioEdit edit = fresh_edit();
      edit.tasks = without_task(scenario(), task);
      dropped |= attempt(edit);
    }
    return dropped;
  }

  bool drop_daemons() {
    bool dropped = false;
    for (std::size_t daemon = scenario().daemons.size(); daemon-- > 0;) {
      ScenarioEdit edit = fresh_edit();
      edit.daemons.erase(edit.daemons.begin() + static_cast<std::ptrdiff_t>(daemon));
      dropped |= attempt(edit);
    }
    return dropped;
  }

  bool drop_faults() {
    bool dropped = false;
    const auto kinds = scenario().faults;
    for (const auto& [kind, budget] : kinds) {
      for (std::uint64_t fewer = 0; fewer < budget; ++fewer) {
        ScenarioEdit edit = fresh_edit();
        edit.faults[kind] = fewer;
        if (fewer == 0) edit.faults.erase(kind);
        if (!attempt(edit)) continue;
        dropped = true;
        break;
      }
    }
    return dropped;
  }

  // Delta debugging over the calls, from the end: what follows a call may need it.
  bool drop_calls() {
    bool dropped = false;
    std::size_t chunk = std::max<std::size_t>(1, droppable_calls(scenario()).size() / 2);
    while (true) {
      bool reduced = false;
      for (std::size_t end = droppable_calls(scenario()).size(); end > 0;) {
        const std::vector<std::size_t> calls = droppable_calls(scenario());
        end = std::min(end, calls.size());
        const std::size_t begin = end > chunk ? end - chunk : 0;
        ScenarioEdit edit = fresh_edit();
        edit.tasks = without_calls(scenario(), {calls.begin() + static_cast<std::ptrdiff_t>(begin),
                                                calls.begin() + static_cast<std::ptrdiff_t>(end)});
        reduced |= attempt(edit);
        end = begin;
      }
      dropped |= reduced;
      if (chunk == 1 && !reduced) return dropped;
      if (best_.candidates >= options_.candidates_max) return dropped;
      chunk = std::max<std::size_t>(1, chunk / 2);
    }
  }

  bool lower_numbers() {
    bool lowered = false;
    const std::size_t count = shrinkable_numbers(scenario()).size();
    for (std::size_t i = count; i-- > 0;) {
      const std::vector<ShrinkableNumber> numbers = shrinkable_numbers(scenario());
      if (i >= numbers.size()) continue;
      for (const std::uint64_t value : numbers[i].smaller) {
        ScenarioEdit edit = fresh_edit();
        edit.tasks = with_number(scenario(), numbers[i], value);
        if (!attempt(edit)) continue;
        lowered = true;
        break;
      }
    }
    return lowered;
  }

  ScenarioEdit fresh_edit() const { return edit_of(scenario(), best_.recording.verdict); }

  // True if the finding is in the candidate too; then it is the best so far.
  bool attempt(const ScenarioEdit& edit) {
    if (best_.candidates >= options_.candidates_max) return false;
    const std::optional<std::string> text = edited_text(*best_.configuration, edit);
    if (!text || !tried_.insert(*text).second) return false;
    Recording candidate = best_.recording;
    candidate.scenario_text = *text;
    ++best_.candidates;
    const auto configuration = configuration_of(candidate);
    ScenarioWorld world(0, configuration);
    const std::optional<Schedule> schedule = find_again(world);
    if (!schedule || !may_hold(world)) return false;
    record(world, configuration, *schedule);
    return true;
  }

  bool may_shrink() {
    ScenarioWorld world(0, best_.configuration);
    return may_hold(world);
  }

  // True if the finding is none that a workload has in every schedule, as far as tried.
  bool may_hold(ScenarioWorld& world) {
    if (best_.recording.verdict != finding_name(FindingKind::kUnexpectedReturn)) return true;
    const auto keep_running = make_keep_running();
    const auto pos = make_pos();
    RunOptions options = world.run_options();
    if (holds(world.world().run(*keep_running, options))) return true;
    for (options.seed = 0; options.seed < options_.seeds; ++options.seed) {
      if (holds(world.world().run(*pos, options))) return true;
    }
    return false;
  }

  // True if the run came to its end, by the expectation, and without the finding.
  bool holds(const RunResult& run) {
    ++best_.runs;
    const auto is_it = [&](const Finding& finding) {
      return finding.signature() == best_.recording.signature;
    };
    return run.end == RunEnd::kFinished &&
           std::none_of(run.findings.begin(), run.findings.end(), is_it);
  }

  // A schedule that has few switches has few landmarks that a candidate may not have.
  void reduce_given() {
    ScenarioWorld world(0, best_.configuration);
    record(world, best_.configuration, reduced(world, best_.recording.choices).schedule);
  }

  // A schedule with the finding and no more preemptions than there are.
  std::optional<Schedule> find_again(ScenarioWorld& world) {
    const auto accept = [&](const Schedule& schedule) -> std::optional<Schedule> {
      RunResult run = reduced(world, schedule);
      if (run.preemptions > best_.recording.preemptions) return std::nullopt;
      return std::move(run.schedule);
    };
    ++best_.runs;
    const TracedRun mapped = run_by_landmarks(world, best_.recording);
    if (has_it(mapped.result)) {
      if (auto schedule = accept(mapped.result.schedule)) return schedule;
    }
    unsigned reductions = 0;
    const auto pos = make_pos();
    RunOptions options = world.run_options();
    for (options.seed = 0; options.seed < options_.seeds; ++options.seed) {
      ++best_.runs;
      const RunResult& run = world.world().run(*pos, options);
      if (!has_it(run)) continue;
      const Schedule found = run.schedule;
      if (auto schedule = accept(found)) return schedule;
      if (++reductions == kReductionsMax) break;
    }
    return std::nullopt;
  }

  RunResult reduced(ScenarioWorld& world, const Schedule& schedule) {
    RunOptions options = world.run_options();
    const auto same = [&](const RunResult& run) { return has_it(run); };
    MinimizeResult result = reduce(world.world(), schedule, options, same, kReduceRuns);
    best_.runs += result.tried;
    return std::move(result.run);
  }

  void record(ScenarioWorld& world, const std::shared_ptr<const Configuration>& configuration,
              const Schedule& schedule) {
    const auto replay = make_replay(schedule);
    Recording recording = make_recording(*configuration, run_traced(world, *replay, 0), {});
    recording.note = best_.recording.note;
    recording.provenance = best_.recording.provenance;
    best_.recording = std::move(recording);
    best_.configuration = configuration;
  }

  bool has_it(const RunResult& run) const { return signature_of(run) == best_.recording.signature; }

  const ShrinkOptions& options_;
  ShrinkResult best_;
  std::set<std::string> tried_;
};

}  // namespace

ShrinkResult shrink_workload(const Recording& recording, const ShrinkOptions& options) {
  return Shrinker(recording, options).shrink();
}

}  // namespace interleaf
