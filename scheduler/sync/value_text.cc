// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/value_text.h"

#include "scheduler/object_names.h"

namespace interleaf {

std::string tasks_text(const Scheduler& scheduler, TaskMask tasks) {
  std::string text;
  for (TaskId id = 0; id < scheduler.task_count(); ++id) {
    if ((tasks & task_bit(id)) == 0) continue;
    text += (text.empty() ? "" : ", ") + std::string(scheduler.task(id).name);
  }
  return text;
}

std::string owner_text(const Scheduler& scheduler, TaskId owner) {
  if (owner == kNoTask) return "free";
  // A lock that was given away is held by whoever will release it.
  if (owner >= scheduler.task_count()) return "held";
  return std::string("held by ") + scheduler.task(owner).name;
}

std::string value_text(const Scheduler& scheduler, const void* pointer) {
  return pointer_text(scheduler, pointer);
}

std::string value_text(const Scheduler& scheduler, const Refcount& count) {
  return value_text(scheduler, count.peek());
}

std::string value_text(const Scheduler& scheduler, const Spinlock& lock) {
  return owner_text(scheduler, lock.owner());
}

std::string value_text(const Scheduler& scheduler, const Mutex& lock) {
  return owner_text(scheduler, lock.owner());
}

std::string value_text(const Scheduler& scheduler, const BitLock& lock) {
  return owner_text(scheduler, lock.owner());
}

std::string value_text(const Scheduler& scheduler, const Rwsem& lock) {
  std::string text = owner_text(scheduler, lock.peek_writer());
  if (lock.peek_readers() != 0) text = "shared by " + tasks_text(scheduler, lock.peek_readers());
  const TaskMask queued = lock.peek_queued();
  return queued == 0 ? text : text + "; queued: " + tasks_text(scheduler, queued);
}

std::string value_text(const Scheduler& scheduler, const WaitQueue& queue) {
  const TaskMask waiting = queue.peek_waiting();
  return waiting == 0 ? "nobody waits" : "waiting: " + tasks_text(scheduler, waiting);
}

std::string value_text(const Scheduler&, const Completion& completion) {
  return completion.peek_done() ? "done" : "not done";
}

std::string value_text(const Scheduler& scheduler, const Rcu& rcu) {
  const TaskMask readers = rcu.peek_readers();
  return readers == 0 ? "no readers" : "readers: " + tasks_text(scheduler, readers);
}

}  // namespace interleaf
