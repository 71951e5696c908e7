// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/rcu.h"

#include <utility>

#include "scheduler/frame.h"
#include "scheduler/sync/completion.h"

namespace interleaf {

void Rcu::read_lock(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  Task& task = s->current_task();
  if (task.rcu_depth == 0) {
    s->point(Op::kRcuLock, readers_number_, this, true, where);
    readers_ |= task_bit(task.id);
  }
  ++task.rcu_depth;
  ++task.atomic_depth;
}

void Rcu::read_unlock(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  Task& task = s->current_task();
  CHECK(task.rcu_depth > 0);
  if (task.rcu_depth == 1) {
    s->point(Op::kRcuUnlock, readers_number_, this, true, where);
    readers_ &= ~task_bit(task.id);
    waited_for_ &= ~task_bit(task.id);
    if (waited_for_ == 0) s->open(gate_);
  }
  --task.rcu_depth;
  --task.atomic_depth;
}

void Rcu::call(RcuHead* head, void (*function)(RcuHead*), Where where) {
  wake_.wake_up(1, where);  // the list changes in the step of the wake-up
  head->next = nullptr;
  head->function = function;
  *pending_tail_ = head;
  pending_tail_ = &head->next;
}

void Rcu::synchronize(Where where) {
  FRAME(synchronize_rcu);
  struct Waiter {
    RcuHead head;  // first: the callback gets its address
    Completion done{"the end of a grace period"};
  } waiter;
  call(
      &waiter.head, [](RcuHead* head) { reinterpret_cast<Waiter*>(head)->done.complete(); }, where);
  waiter.done.wait(where);
}

void Rcu::grace_periods() {
  FRAME(rcu_gp_kthread);
  for (;;) {
    for (;;) {
      wake_.prepare_to_wait();  // the list is looked at in this step, never without one
      if (pending_ != nullptr) break;
      wake_.schedule();
    }
    wake_.finish_wait();
    RcuHead* callbacks = std::exchange(pending_, nullptr);
    pending_tail_ = &pending_;
    Scheduler& s = *Scheduler::current();
    s.point(Op::kGracePeriod, readers_number_, this, true, Where::current());
    waited_for_ = readers_;
    s.gated_point(Op::kGracePeriod, readers_number_, this, gate_, waited_for_ == 0,
                  "the end of RCU read sections", Where::current());
    while (callbacks != nullptr) {
      RcuHead* head = callbacks;
      callbacks = head->next;
      head->function(head);
    }
  }
}

}  // namespace interleaf
