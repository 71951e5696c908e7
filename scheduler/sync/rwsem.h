// SPDX-License-Identifier: GPL-2.0-only
// A sleeping reader/writer lock, fair as Linux's: a queued writer keeps new readers out. Whoever
// cannot have it at once is queued (a point, Acquire) and goes on when it is handed over (a second
// point, Granted). At a release, a writer at the head of the queue gets it alone; a reader at the
// head takes all queued readers along (kernel/locking/rwsem.c, rwsem_mark_wake).
#pragma once

#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

class Rwsem {
 public:
  using Where = std::source_location;

  explicit Rwsem(const LockClass& lock_class);
  Rwsem(const Rwsem&) = delete;
  Rwsem& operator=(const Rwsem&) = delete;

  void down_read(Where where = Where::current());
  void down_write(Where where = Where::current());
  // Fail also while somebody is queued.
  bool down_read_trylock(Where where = Where::current());
  bool down_write_trylock(Where where = Where::current());
  void up_read(Where where = Where::current());
  void up_write(Where where = Where::current());
  // Writer to reader; queued readers come along.
  void downgrade_write(Where where = Where::current());

  bool held_for_write_by_me() const;
  bool look_locked(Where where = Where::current()) const {  // part of the step under way
    if (Scheduler* s = Scheduler::current()) s->also(Op::kRead, number_, this, where);
    return peek_locked();
  }
  bool peek_locked() const { return writer_ != kNoTask || readers_ != 0; }
  TaskId peek_writer() const { return writer_; }
  TaskMask peek_readers() const { return readers_; }
  TaskMask peek_queued() const {
    TaskMask tasks = 0;
    for (unsigned i = 0; i < queued_; ++i) tasks |= task_bit(queue_[i]);
    return tasks;
  }

 private:
  void down(bool shared, Where where);
  bool down_trylock(bool shared, Where where);
  void take(bool shared, TaskId task);
  void hand_over(Scheduler& s);
  void dequeue(unsigned index);

  Gate gate_;
  const char* name_;
  mutable ObjectNumber number_;
  TaskMask readers_ = 0;
  TaskId writer_ = kNoTask;
  std::uint8_t class_ = 0;
  std::uint8_t queued_ = 0;
  TaskId queue_[kTasksMax];  // in order of arrival
  TaskMask queued_shared_ = 0;
};

}  // namespace interleaf
