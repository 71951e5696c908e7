// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/rwsem.h"

#include <algorithm>

namespace interleaf {

Rwsem::Rwsem(const LockClass& lock_class) : name_(lock_class.name) {
  if (Scheduler* s = Scheduler::instance()) class_ = s->lock_class_index(lock_class);
}

void Rwsem::take(bool shared, TaskId task) {
  if (shared) {
    readers_ |= task_bit(task);
  } else {
    writer_ = task;
  }
}

void Rwsem::down(bool shared, Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->might_sleep(where);
  s->lock_wanted(this, class_, where);
  s->point(shared ? Op::kAcquireShared : Op::kAcquire, number_, this, true, where);
  const TaskId self = s->current_id();
  const bool free = writer_ == kNoTask && queued_ == 0 && (shared || readers_ == 0);
  if (free) {
    take(shared, self);
  } else {
    queue_[queued_++] = self;
    if (shared) queued_shared_ |= task_bit(self);
    s->gated_point(Op::kGranted, number_, this, gate_, false, name_, where);
  }
  s->lock_taken(this, class_, shared, where);
}

void Rwsem::dequeue(unsigned index) {
  queued_shared_ &= ~task_bit(queue_[index]);
  std::copy(queue_ + index + 1, queue_ + queued_, queue_ + index);
  --queued_;
}

// Requires: no writer.
void Rwsem::hand_over(Scheduler& s) {
  if (queued_ == 0) return;
  TaskMask now = 0;
  if ((queued_shared_ & task_bit(queue_[0])) != 0) {
    for (unsigned i = 0; i < queued_;) {
      const TaskId task = queue_[i];
      if ((queued_shared_ & task_bit(task)) == 0) {
        ++i;
        continue;
      }
      take(true, task);
      now |= task_bit(task);
      dequeue(i);
    }
  } else if (readers_ == 0) {
    take(false, queue_[0]);
    now = task_bit(queue_[0]);
    dequeue(0);
  }
  s.open(gate_, now);
}

bool Rwsem::down_trylock(bool shared, Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return true;
  s->point(shared ? Op::kTryAcquireShared : Op::kTryAcquire, number_, this, true, where);
  if (writer_ != kNoTask || queued_ != 0 || (!shared && readers_ != 0)) return false;
  take(shared, s->current_id());
  s->lock_taken(this, class_, shared, where);
  return true;
}

void Rwsem::down_read(Where where) { down(true, where); }
void Rwsem::down_write(Where where) { down(false, where); }
bool Rwsem::down_read_trylock(Where where) { return down_trylock(true, where); }
bool Rwsem::down_write_trylock(Where where) { return down_trylock(false, where); }

void Rwsem::up_read(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kReleaseShared, number_, this, true, where);
  readers_ &= ~task_bit(s->current_id());
  s->lock_dropped(this, where);
  if (readers_ == 0) hand_over(*s);
}

void Rwsem::up_write(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kRelease, number_, this, true, where);
  writer_ = kNoTask;
  s->lock_dropped(this, where);
  hand_over(*s);
}

void Rwsem::downgrade_write(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kDowngrade, number_, this, true, where);
  writer_ = kNoTask;
  s->lock_dropped(this, where);
  take(true, s->current_id());
  s->lock_taken(this, class_, true, where);
  if (queued_ != 0 && (queued_shared_ & task_bit(queue_[0])) != 0) hand_over(*s);
}

bool Rwsem::held_for_write_by_me() const {
  Scheduler* s = Scheduler::current();
  return s == nullptr || writer_ == s->current_id();
}

}  // namespace interleaf
