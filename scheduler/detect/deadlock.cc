// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/detect/deadlock.h"

#include <algorithm>

#include "scheduler/object_names.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

bool blocked(const Scheduler& scheduler, TaskId id) {
  return !scheduler.task(id).finished && (scheduler.runnable() & task_bit(id)) == 0;
}

// A task that holds the lock `id` waits for, or kNoTask.
TaskId holder(const Scheduler& scheduler, TaskId id) {
  const void* wanted = scheduler.task(id).next.address;
  for (TaskId other = 0; other < scheduler.task_count(); ++other) {
    const auto& held = scheduler.task(other).held;
    const bool holds = std::any_of(held.begin(), held.end(),
                                   [&](const HeldLock& lock) { return lock.lock == wanted; });
    if (holds && !scheduler.task(other).finished) return other;
  }
  return kNoTask;
}

const char* waited_for(const Task& task) {
  return task.waits_for == nullptr ? "a wake-up" : task.waits_for;
}

std::string describe(const Scheduler& scheduler, TaskId id) {
  const Task& task = scheduler.task(id);
  std::string line = std::string(task.name) + " waits for " + waited_for(task);
  const std::string which = instance_at(scheduler, task.next.address);
  if (!which.empty()) line += " (" + which + ")";
  if (task.function() != nullptr) line += std::string(" in ") + task.function()->name;
  line += " since step " + std::to_string(task.last_step);
  const TaskId by = holder(scheduler, id);
  if (by != kNoTask) {
    for (const HeldLock& held : scheduler.task(by).held) {
      if (held.lock != task.next.address) continue;
      line += ", held by " + std::string(scheduler.task(by).name) + " since step " +
              std::to_string(held.step);
      break;
    }
  }
  return line;
}

std::vector<TaskId> find_cycle(const Scheduler& scheduler) {
  for (TaskId start = 0; start < scheduler.task_count(); ++start) {
    std::vector<TaskId> path;
    for (TaskId at = start; at != kNoTask && blocked(scheduler, at); at = holder(scheduler, at)) {
      const auto seen = std::find(path.begin(), path.end(), at);
      if (seen != path.end()) return {seen, path.end()};
      path.push_back(at);
    }
  }
  return {};
}

}  // namespace

Deadlock describe_deadlock(const Scheduler& scheduler) {
  Deadlock deadlock;
  std::vector<std::string> names;
  const std::vector<TaskId> cycle = find_cycle(scheduler);
  deadlock.cycle = !cycle.empty();
  auto add = [&](TaskId id, bool hangs) {
    if (deadlock.first == kNoTask) deadlock.first = id;
    deadlock.lines.push_back(describe(scheduler, id));
    if (hangs) names.emplace_back(waited_for(scheduler.task(id)));
  };
  for (TaskId id : cycle) add(id, true);
  for (TaskId id = 0; id < scheduler.task_count(); ++id) {
    const bool told = std::find(cycle.begin(), cycle.end(), id) != cycle.end();
    if (!told && blocked(scheduler, id) && !scheduler.task(id).daemon) add(id, cycle.empty());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    deadlock.object += (deadlock.object.empty() ? "" : "+") + name;
  }
  deadlock.summary = cycle.empty() ? "no task can go on" : "cycle:";
  for (TaskId id : cycle) deadlock.summary += std::string(" ") + scheduler.task(id).name + " ->";
  if (!cycle.empty()) deadlock.summary += std::string(" ") + scheduler.task(cycle.front()).name;
  return deadlock;
}

std::vector<std::string> describe_lock_order(const Scheduler& scheduler, const LockOrder& order,
                                             const LockOrder::Path& path, std::string& object) {
  std::vector<std::string> lines;
  // path: wanted, ..., held; the closing edge is held -> wanted.
  for (unsigned i = 0; i < path.length; ++i) {
    const std::uint8_t from = path.classes[i];
    const std::uint8_t to = path.classes[(i + 1) % path.length];
    const LockOrder::Edge& edge = order.edge(from, to);
    std::string line = std::string(order.name(from)) + " -> " + order.name(to) + ": " +
                       scheduler.task(edge.task).name + " at step " + std::to_string(edge.step) +
                       " in";
    for (unsigned d = 0; d < edge.depth; ++d) {
      line += (d == 0 ? " " : " < ") + std::string(edge.stack[edge.depth - 1 - d]->name);
    }
    lines.push_back(line);
  }
  // From the class with the first name on, whichever was asked for last.
  unsigned first = 0;
  for (unsigned i = 1; i < path.length; ++i) {
    if (std::string_view(order.name(path.classes[i])) < order.name(path.classes[first])) first = i;
  }
  for (unsigned i = 0; i < path.length; ++i) {
    const std::uint8_t lock_class = path.classes[(first + i) % path.length];
    object += (i == 0 ? "" : "+") + std::string(order.name(lock_class));
  }
  return lines;
}

}  // namespace interleaf
