// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/semaphore.h"

#include <algorithm>

namespace interleaf {

void Semaphore::down(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->might_sleep(where);
  s->point(Op::kAcquire, number_, this, true, where);
  if (count_ > 0) {
    --count_;
    s->acquired(number_);
    return;
  }
  queue_[queued_++] = s->current_id();
  s->gated_point(Op::kGranted, number_, this, gate_, false, name_, where);
  s->acquired(number_);
}

bool Semaphore::down_trylock(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return true;
  s->point(Op::kTryAcquire, number_, this, true, where);
  if (count_ == 0) return false;
  --count_;
  s->acquired(number_);
  return true;
}

void Semaphore::up(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kReleaseShared, number_, this, true, where);
  if (queued_ == 0) {
    ++count_;
    return;
  }
  const TaskId first = queue_[0];
  std::copy(queue_ + 1, queue_ + queued_, queue_);
  --queued_;
  s->open(gate_, task_bit(first));
}

}  // namespace interleaf
