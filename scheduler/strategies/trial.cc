// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/strategies/trial.h"

#include <algorithm>
#include <unordered_map>

#include "scheduler/search/object_kinds.h"
#include "scheduler/strategies/sampling.h"

namespace interleaf {
namespace {

// Keep-running, but by turns where a task blocks: two that poll would keep the lowest ids busy.
class KeepRunningByTurns final : public Strategy {
 public:
  void begin(std::uint64_t) override { streak_ = Streak(); }
  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const TaskId ran = scheduler.current_id();
    const bool stays = ran != kNoTask && (runnable & task_bit(ran)) != 0;
    return stays && !streak_.too_long(ran) ? ran : next_in_round(ran, runnable);
  }
  unsigned pick_value(const Scheduler&, const char*, unsigned) override { return 0; }

 private:
  Streak streak_;
};

class Counter final : public Observer {
 public:
  Counter(Trial& trial, unsigned task_count) : trial_(trial) {
    trial_.events.assign(task_count, 0);
    trial_.started_by.assign(task_count, kNoTask);
  }

  void event(const Scheduler& scheduler, const Task& task, const Access& access) override {
    kinds_.learn(scheduler.arena());
    if (scheduler.in_epilogue()) return;
    ++trial_.events[task.id];
    if (access.object == kPrivateObject) return;
    const ObjectPlace place = object_place(scheduler.arena(), access.address);
    if (access.op == Op::kWake) woken_by_[place] = task.id;
    if (access.op == Op::kBegin) trial_.started_by[task.id] = woken_by_.at(place);
    const auto [at, is_new] = index_.try_emplace(place, trial_.objects.size());
    if (is_new) {
      trial_.objects.push_back({place, kinds_.of(scheduler.arena(), access.address),
                                std::vector<std::uint32_t>(trial_.events.size())});
    }
    ++trial_.objects[at->second].events[task.id];
  }
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

 private:
  Trial& trial_;
  ObjectKinds kinds_;
  // Looked up, never walked.
  std::unordered_map<ObjectPlace, std::size_t> index_;
  std::unordered_map<ObjectPlace, TaskId> woken_by_;
};

}  // namespace

unsigned Trial::Object::tasks() const {
  return static_cast<unsigned>(
      std::count_if(events.begin(), events.end(), [](std::uint32_t count) { return count != 0; }));
}

namespace {

std::uint32_t decisions_of(const RunResult& run) {
  return static_cast<std::uint32_t>(
      std::count_if(run.schedule.begin(), run.schedule.end(),
                    [](std::uint8_t byte) { return byte < kDataChoice; }));
}

}  // namespace

const RunResult& run_by_turns(World& world, const RunOptions& options) {
  KeepRunningByTurns schedule;
  return world.run(schedule, options);
}

Trial run_trial(World& world, RunOptions options) {
  CHECK(options.observer == nullptr);
  Trial trial;
  Counter counter(trial, world.scheduler().task_count());
  options.observer = &counter;
  const RunResult& result = run_by_turns(world, options);
  trial.decisions = decisions_of(result);
  trial.end = result.end;
  return trial;
}

std::uint32_t learn_decisions(World& world, RunOptions options, unsigned runs) {
  CHECK(options.observer == nullptr);
  const RunResult& trial = run_by_turns(world, options);
  std::uint32_t most = trial.end == RunEnd::kLivelock ? 1 : std::max(decisions_of(trial), 1u);
  for (options.seed = 0; options.seed < runs; ++options.seed) {
    const auto pct = make_pct(kDrawnPerRun, most);
    const RunResult& run = world.run(*pct, options);
    if (run.end != RunEnd::kLivelock) most = std::max(most, decisions_of(run));
  }
  return most;
}

}  // namespace interleaf
