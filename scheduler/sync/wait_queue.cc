// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/wait_queue.h"

#include <algorithm>

namespace interleaf {

void WaitQueue::prepare_to_wait(bool exclusive, Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kWait, number_, this, true, where, Order::kFull);
  const TaskId self = s->current_id();
  s->current_task().woken = false;
  prepared_ |= task_bit(self);
  if (std::find(queue_, queue_ + waiting_, self) != queue_ + waiting_) return;
  queue_[waiting_++] = self;
  if (exclusive) exclusive_ |= task_bit(self);
}

void WaitQueue::schedule(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->might_sleep(where);
  s->gated_point(Op::kGranted, number_, this, gate_, s->current_task().woken, name_, where);
  prepared_ &= ~task_bit(s->current_id());
}

void WaitQueue::finish_wait(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  // Not by a look at the queue: a wake-up may have changed it, in no order with what the task did.
  const TaskMask self = task_bit(s->current_id());
  if ((prepared_ & self) == 0) return;
  prepared_ &= ~self;
  s->point(Op::kWait, number_, this, true, where, Order::kFull);
  TaskId* const still = std::find(queue_, queue_ + waiting_, s->current_id());
  if (still != queue_ + waiting_) remove(static_cast<unsigned>(still - queue_));
}

void WaitQueue::remove(unsigned index) {
  exclusive_ &= ~task_bit(queue_[index]);
  std::copy(queue_ + index + 1, queue_ + waiting_, queue_ + index);
  --waiting_;
}

void WaitQueue::wake_up(unsigned exclusive_max, Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kWake, number_, this, true, where, Order::kFull);
  TaskMask woken = 0;
  for (unsigned i = 0; i < waiting_;) {
    const TaskId task = queue_[i];
    if ((exclusive_ & task_bit(task)) != 0) {
      if (exclusive_max == 0) {
        ++i;
        continue;
      }
      --exclusive_max;
    }
    s->set_woken(task);
    woken |= task_bit(task);
    remove(i);
  }
  s->open(gate_, woken);
}

}  // namespace interleaf
