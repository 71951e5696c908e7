// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/prefix_key.h"

#include <span>

namespace interleaf {
void PrefixKey::forget() {
  for (Own& own : tasks_) own.own_steps = kUnknown;
  findings_ = 0;
  of_findings_ = {};
}

PrefixKey::Own PrefixKey::of_task(const Task& task) {
  const Function* function = task.function();
  Hash128 hash{task.id, function == nullptr ? 0 : function->hash};
  hash.mix({static_cast<std::uint64_t>(task.next.op) | std::uint64_t{task.finished} << 8 |
                std::uint64_t{task.next.where.line()} << 16,
            task.own_steps});
  return {task.own_steps, task.finished ? 0 : task.next.object, hash.low};
}

std::uint64_t PrefixKey::announced(const Scheduler& s, const OrderHash& order, TaskMask runnable) {
  std::uint64_t sum = scramble(runnable);
  const unsigned count = s.task_count();
  for (TaskId id = 0; id < count; ++id) {
    const Task& task = s.task(id);
    Own& own = tasks_[id];
    if (own.own_steps != task.own_steps) own = of_task(task);
    sum += scramble(own.hash + order.past(own.object));
  }
  return sum;
}

Hash128 PrefixKey::of(const Scheduler& s, const OrderHash& order, TaskMask runnable) {
  const std::span<const Finding> findings = s.findings();
  for (; findings_ < findings.size(); ++findings_) {
    of_findings_.mix(hash_of_text(findings[findings_].signature()));
  }
  const TaskId ran = s.current_id();
  const bool goes_on = ran != kNoTask && (runnable & task_bit(ran)) != 0;
  Hash128 key = order.total();
  key.mix({(goes_on ? ran + 1u : 0u) + of_findings_.low, announced(s, order, runnable)});
  return key;
}

}  // namespace interleaf
