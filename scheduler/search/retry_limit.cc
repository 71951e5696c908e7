// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/retry_limit.h"

#include <bit>
#include <set>
#include <vector>

#include "scheduler/search/linearize.h"

namespace interleaf {

void RetryCuts::add(const World& world) {
  const Scheduler& s = world.scheduler();
  if (s.left() == 0) return;
  std::set<std::string> names;
  for (TaskMask rest = s.left(); rest != 0; rest &= rest - 1) {
    const Task& task = s.task(static_cast<TaskId>(std::countr_zero(rest)));
    names.insert(task.function() == nullptr ? task.name : task.function()->name);
  }
  ++orders;
  for (const std::string& name : names) ++functions[name];
}

void RetryCuts::merge(const RetryCuts& other) {
  orders += other.orders;
  for (const auto& [name, count] : other.functions) functions[name] += count;
}

Schedule without_retry_limit(World& world, const RunOptions& options, const Schedule& schedule) {
  const auto replay = make_replay(schedule);
  const auto recorder = make_step_recorder(*replay);
  world.run(*recorder, options);
  std::vector<const OrderedStep*> steps;
  for (const OrderedStep& step : recorder->steps()) steps.push_back(&step);
  const auto follower = make_follower(steps);
  RunOptions unlimited = options;
  unlimited.retries_max = 0;
  return world.run(*follower, unlimited).schedule;
}

}  // namespace interleaf
