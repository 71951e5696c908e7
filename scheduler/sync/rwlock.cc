// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/rwlock.h"

namespace interleaf {

Rwlock::Rwlock(const LockClass& lock_class) : name_(lock_class.name) {
  if (Scheduler* s = Scheduler::instance()) class_ = s->lock_class_index(lock_class);
}

void Rwlock::taken(Scheduler& s, bool shared, Where where) {
  s.lock_taken(this, class_, shared, where);
  ++s.current_task().atomic_depth;
}

void Rwlock::dropped(Scheduler& s, Where where) {
  s.lock_dropped(this, where);
  --s.current_task().atomic_depth;
}

void Rwlock::read_lock(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->lock_wanted(this, class_, where);
  s->gated_point(Op::kAcquireShared, number_, this, readers_gate_, writer_ == kNoTask, name_,
                 where);
  readers_ |= task_bit(s->current_id());
  s->close(writers_gate_);
  taken(*s, true, where);
}

void Rwlock::read_unlock(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kReleaseShared, number_, this, true, where);
  readers_ &= ~task_bit(s->current_id());
  if (readers_ == 0) s->open(writers_gate_);
  dropped(*s, where);
}

void Rwlock::write_lock(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->lock_wanted(this, class_, where);
  s->gated_point(Op::kAcquire, number_, this, writers_gate_, writer_ == kNoTask && readers_ == 0,
                 name_, where);
  writer_ = s->current_id();
  s->close(readers_gate_);
  s->close(writers_gate_);
  taken(*s, false, where);
}

void Rwlock::write_unlock(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kRelease, number_, this, true, where);
  writer_ = kNoTask;
  s->open(readers_gate_);
  s->open(writers_gate_);
  dropped(*s, where);
}

}  // namespace interleaf
