// SPDX-License-Identifier: GPL-2.0-only
// The contents of sync types in a few words, for the tables of BlockType: "free", "held by opener",
// "2". No points.
#pragma once

#include <concepts>
#include <string>

#include "scheduler/scheduler.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/bit_lock.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rcu.h"
#include "scheduler/sync/refcount.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"
#include "scheduler/sync/wait_queue.h"

namespace interleaf {

// "opener, writer", in order of ids.
std::string tasks_text(const Scheduler& scheduler, TaskMask tasks);
// Of an exclusive lock.
std::string owner_text(const Scheduler& scheduler, TaskId owner);

template <std::integral T>
std::string value_text(const Scheduler&, T value) {
  return std::to_string(value);
}
// What it points to.
std::string value_text(const Scheduler& scheduler, const void* pointer);
template <typename T>
std::string value_text(const Scheduler& scheduler, const Shared<T>& field) {
  return value_text(scheduler, field.peek());
}
template <typename T>
std::string value_text(const Scheduler& scheduler, const Atomic<T>& field) {
  return value_text(scheduler, field.peek());
}
std::string value_text(const Scheduler& scheduler, const Refcount& count);
std::string value_text(const Scheduler& scheduler, const Spinlock& lock);
std::string value_text(const Scheduler& scheduler, const Mutex& lock);
std::string value_text(const Scheduler& scheduler, const BitLock& lock);
// "held by a", "shared by a, b"; with "; queued: c" if there is a queue.
std::string value_text(const Scheduler& scheduler, const Rwsem& lock);
// Who waits: "nobody waits", "waiting: a, b".
std::string value_text(const Scheduler& scheduler, const WaitQueue& queue);
// "not done", "done".
std::string value_text(const Scheduler& scheduler, const Completion& completion);
// Who is in a read section: "no readers", "readers: a, b".
std::string value_text(const Scheduler& scheduler, const Rcu& rcu);

}  // namespace interleaf
