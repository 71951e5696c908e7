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

bool holds(const Scheduler& scheduler, TaskId id, const void* lock) {
  const Task& task = scheduler.task(id);
  return !task.finished && std::any_of(task.held.begin(), task.held.end(),
                                       [&](const HeldLock& held) { return held.lock == lock; });
}

// The first task that holds what `id` waits for, or kNoTask.
TaskId holder(const Scheduler& scheduler, TaskId id) {
  for (TaskId other = 0; other < scheduler.task_count(); ++other) {
    if (holds(scheduler, other, scheduler.task(id).next.address)) return other;
  }
  return kNoTask;
}

const char* waited_for(const Task& task) {
  return task.waits_for == nullptr ? "a wake-up" : task.waits_for;
}

// `by` is the holder to name, or kNoTask.
std::string describe(const Scheduler& scheduler, TaskId id, TaskId by) {
  const Task& task = scheduler.task(id);
  std::string line = std::string(task.name) + " waits for " + waited_for(task);
  const std::string which = instance_at(scheduler, task.next.address);
  if (!which.empty()) line += " (" + which + ")";
  if (task.function() != nullptr) line += std::string(" in ") + task.function()->name;
  line += " since step " + std::to_string(task.last_step);
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

// Depth first from `at` along waiter -> holder. True if that closes a cycle: `path` becomes it.
bool close_cycle(const Scheduler& scheduler, TaskId at, TaskMask& seen, std::vector<TaskId>& path) {
  const auto on_path = std::find(path.begin(), path.end(), at);
  if (on_path != path.end()) {
    path.erase(path.begin(), on_path);
    return true;
  }
  if (!blocked(scheduler, at) || (seen & task_bit(at)) != 0) return false;
  seen |= task_bit(at);
  path.push_back(at);
  for (TaskId other = 0; other < scheduler.task_count(); ++other) {
    if (holds(scheduler, other, scheduler.task(at).next.address) &&
        close_cycle(scheduler, other, seen, path)) {
      return true;
    }
  }
  path.pop_back();
  return false;
}

std::vector<TaskId> find_cycle(const Scheduler& scheduler) {
  TaskMask seen = 0;
  for (TaskId start = 0; start < scheduler.task_count(); ++start) {
    std::vector<TaskId> path;
    if (!close_cycle(scheduler, start, seen, path)) continue;
    // From a task of the program on, if there is one.
    std::rotate(path.begin(),
                std::find_if(path.begin(), path.end(),
                             [&](TaskId id) { return !scheduler.task(id).daemon; }),
                path.end());
    return path;
  }
  return {};
}

}  // namespace

Deadlock describe_deadlock(const Scheduler& scheduler) {
  Deadlock deadlock;
  std::vector<std::string> names;
  const std::vector<TaskId> cycle = find_cycle(scheduler);
  deadlock.cycle = !cycle.empty();
  auto add = [&](TaskId id, TaskId by, bool hangs) {
    if (deadlock.first == kNoTask) deadlock.first = id;
    deadlock.lines.push_back(describe(scheduler, id, by));
    if (hangs) names.emplace_back(waited_for(scheduler.task(id)));
  };
  for (std::size_t i = 0; i < cycle.size(); ++i) add(cycle[i], cycle[(i + 1) % cycle.size()], true);
  for (TaskId id = 0; id < scheduler.task_count(); ++id) {
    const bool told = std::find(cycle.begin(), cycle.end(), id) != cycle.end();
    if (!told && blocked(scheduler, id) && !scheduler.task(id).daemon) {
      add(id, holder(scheduler, id), cycle.empty());
    }
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
