// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/minimize.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "scheduler/check.h"
#include "scheduler/search/normalize.h"
#include "scheduler/strategies/keep_running.h"

namespace interleaf {
namespace {

// Follows a schedule and notes where it departs from the policy.
class Noting final : public Strategy {
 public:
  explicit Noting(const Schedule& schedule) : replay_(make_replay(schedule)) {
    noted_.reserve(schedule.size());
  }

  void begin(std::uint64_t seed) override { replay_->begin(seed); }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const TaskId next = replay_->pick(scheduler, runnable);
    if (next != keep_running(scheduler, runnable)) note(scheduler, false, next);
    return next;
  }

  unsigned pick_value(const Scheduler& scheduler, const char* kind, unsigned count) override {
    const unsigned value = replay_->pick_value(scheduler, kind, count);
    if (value != 0) note(scheduler, true, static_cast<std::uint8_t>(value));
    return value;
  }

  std::vector<Deviation> noted() && { return std::move(noted_); }

 private:
  void note(const Scheduler& scheduler, bool data, std::uint8_t value) {
    const TaskId ran = scheduler.current_id();
    noted_.push_back({ran, ran == kNoTask ? 0 : scheduler.task(ran).own_steps, data, value});
  }

  std::unique_ptr<ReplayStrategy> replay_;
  std::vector<Deviation> noted_;
};

class Minimizer {
 public:
  Minimizer(World& world, const RunOptions& options,
            const std::function<bool(const RunResult&)>& same, std::uint64_t tries_max)
      : world_(world), options_(options), same_(same), tries_max_(tries_max) {}

  // True if the run of these deviations has the finding; then it becomes the best so far.
  bool attempt(const std::vector<Deviation>& deviations) {
    if (best.tried >= tries_max_ || !tried_.insert(key_of(deviations)).second) return false;
    ++best.tried;
    const auto strategy = make_listed(deviations);
    const RunResult& run = world_.run(*strategy, options_);
    if (!same_(run)) return false;
    best.deviations = deviations;
    best.run = run;
    return true;
  }

  // Takes away chunks, large ones first, until no single deviation can go.
  void reduce() {
    for (std::size_t chunk = std::max<std::size_t>(1, best.deviations.size() / 2);;) {
      bool reduced = false;
      // From the end: late switches are the least likely to matter.
      for (std::size_t end = best.deviations.size(); end > 0;) {
        const std::size_t begin = end > chunk ? end - chunk : 0;
        std::vector<Deviation> fewer = best.deviations;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(begin),
                    fewer.begin() + static_cast<std::ptrdiff_t>(end));
        reduced |= attempt(fewer);
        end = begin;
      }
      if (best.tried >= tries_max_) return;
      if (chunk == 1 && !reduced) {
        best.one_minimal = true;
        return;
      }
      chunk = std::max<std::size_t>(1, chunk / 2);
    }
  }

  // Data choices nearer to the ordinary outcome.
  void lower_values() {
    for (std::size_t i = 0; i < best.deviations.size(); ++i) {
      if (!best.deviations[i].data) continue;
      for (std::uint8_t value = 1; value < best.deviations[i].value; ++value) {
        std::vector<Deviation> lower = best.deviations;
        lower[i].value = value;
        if (attempt(lower)) break;
      }
    }
  }

  MinimizeResult best;

 private:
  static std::string key_of(const std::vector<Deviation>& deviations) {
    std::string key;
    for (const Deviation& deviation : deviations) {
      key += static_cast<char>(deviation.task);
      key += static_cast<char>(deviation.data);
      key += static_cast<char>(deviation.value);
      for (unsigned shift = 0; shift < 32; shift += 8) {
        key += static_cast<char>(deviation.own_steps >> shift);
      }
    }
    return key;
  }

  std::set<std::string> tried_;  // passes over the list come back to the same ones
  World& world_;
  const RunOptions& options_;
  const std::function<bool(const RunResult&)>& same_;
  std::uint64_t tries_max_;
};

}  // namespace

std::vector<Deviation> deviations_of(World& world, const Schedule& schedule,
                                     const RunOptions& options) {
  Noting noting(schedule);
  world.run(noting, options);
  return std::move(noting).noted();
}

MinimizeResult minimize(World& world, const Schedule& schedule, const RunOptions& options,
                        const std::function<bool(const RunResult&)>& same,
                        std::uint64_t tries_max) {
  Minimizer minimizer(world, options, same, tries_max);
  const std::vector<Deviation> all = deviations_of(world, schedule, options);
  if (minimizer.attempt({})) {
    minimizer.best.one_minimal = true;
    return std::move(minimizer.best);
  }
  CHECK(minimizer.attempt(all));
  minimizer.reduce();
  minimizer.lower_values();
  return std::move(minimizer.best);
}

MinimizeResult reduce(World& world, const Schedule& schedule, const RunOptions& options,
                      const std::function<bool(const RunResult&)>& same, std::uint64_t tries_max) {
  constexpr unsigned kRoundsMax = 8;
  MinimizeResult result;
  result.run.schedule = schedule;
  std::uint64_t tried = 0;
  for (unsigned round = 0; round < kRoundsMax; ++round) {
    const NormalizeResult normal = normalize(world, result.run.schedule, options, same, tries_max);
    tried += normal.tried;
    const auto no_worse = [&](const RunResult& run) {
      return run.preemptions <= normal.run.preemptions && same(run);
    };
    const Schedule before = std::exchange(result.run.schedule, {});
    result = minimize(world, normal.run.schedule, options, no_worse, tries_max);
    tried += result.tried;
    if (result.run.schedule == before) break;
  }
  result.tried = tried;
  return result;
}

}  // namespace interleaf
