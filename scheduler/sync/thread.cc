// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/thread.h"

namespace interleaf {

Thread::Thread(Scheduler& scheduler, std::string_view name, void (*body)(void*), void* argument)
    : body_(body), argument_(argument) {
  task_ = scheduler.spawn(
      name, [](void* self) { static_cast<Thread*>(self)->run(); }, this, true);
}

void Thread::run() {
  Scheduler& s = *Scheduler::current();
  s.gated_point(Op::kBegin, number_, this, start_, started_, "its start", Where::current());
  body_(argument_);
  s.point(Op::kEnd, number_, this, true, Where::current());
  ended_ = true;
  s.open(end_);
}

void Thread::start(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->point(Op::kWake, number_, this, true, where, Order::kFull);
  if (started_) {
    s->report(FindingKind::kKernelBug, "thread", "a thread was started twice", true);
  }
  started_ = true;
  s->make_foreground(task_);
  s->open(start_);
}

void Thread::join(Where where) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->might_sleep(where);
  s->gated_point(Op::kWait, number_, this, end_, ended_, "the end of a thread", where);
}

}  // namespace interleaf
