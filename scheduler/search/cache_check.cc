// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/cache_check.h"

namespace interleaf {
namespace {

// A line per task: what it is about to do, and to an object with which past.
std::vector<std::string> describe(const Scheduler& s, const OrderHash& order, TaskMask runnable) {
  std::vector<std::string> lines;
  for (TaskId id = 0; id < s.task_count(); ++id) {
    const Task& task = s.task(id);
    const Access& next = task.next;
    std::string& line = lines.emplace_back(task.finished ? "ended" : "");
    if (task.finished) continue;
    if ((runnable & task_bit(id)) == 0) line = "blocked at ";
    line += std::string(op_name(next.op)) + " at " + next.where.file_name() + ":" +
            std::to_string(next.where.line());
    if (task.function() != nullptr) line += std::string(" in ") + task.function()->name;
    line += ", access " + std::to_string(task.own_steps + 1) + " of the task, object with past " +
            std::to_string(order.object(next.object).low % 10'000);
  }
  return lines;
}

}  // namespace

void CacheCheck::prefix(const Scheduler& s, const OrderHash& order, TaskMask runnable,
                        std::uint64_t announced) {
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = announced_.try_emplace(order.total());
  if (is_new) {
    known->second = {announced, describe(s, order, runnable)};
    return;
  }
  if (known->second.hash == announced || !found_.empty()) return;
  found_ = "hidden dependence: the same events in two orders lead to different accesses;";
  const std::vector<std::string> now = describe(s, order, runnable);
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] == known->second.tasks[i]) continue;
    found_ += std::string("\n  ") + s.task(static_cast<TaskId>(i)).name + ": " + now[i] +
              "\n    and: " + known->second.tasks[i];
  }
}

void CacheCheck::outcome(const Hash128& order, const std::string& signature) {
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = outcomes_.emplace(order, signature);
  if (is_new || known->second == signature || !found_.empty()) return;
  const auto named = [](const std::string& text) { return text.empty() ? "clean" : text; };
  found_ = "hidden dependence: runs of the same order end differently:\n  " + named(known->second) +
           "\n  " + named(signature);
}

std::string CacheCheck::found() const {
  const std::lock_guard lock(mutex_);
  return found_;
}

}  // namespace interleaf
