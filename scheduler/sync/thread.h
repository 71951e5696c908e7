// SPDX-License-Identifier: GPL-2.0-only
// Threads that other tasks start and wait for. A Thread is set up before the first run, as every
// task, but is not runnable until somebody calls start(); what happened before that call happened
// before the thread's first access (a point of its own, Begin). Its end is a point too (End), and
// join() waits for it. A thread that is never started does not keep a run from ending.
#pragma once

#include <source_location>
#include <string_view>

#include "scheduler/scheduler.h"

namespace interleaf {

class Thread {
 public:
  using Where = std::source_location;

  // As Scheduler::spawn(): `body(argument)` runs on a task of this name. The Thread must stay where
  // it is for the World's life (put it in the arena).
  Thread(Scheduler& scheduler, std::string_view name, void (*body)(void*), void* argument);
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Once; a second start is a finding.
  void start(Where where = Where::current());
  // Sleeps until the thread has ended. Any number of tasks may join.
  void join(Where where = Where::current());

  TaskId task() const { return task_; }

 private:
  void run();

  void (*body_)(void*);
  void* argument_;
  mutable ObjectNumber number_;
  Gate start_, end_;
  TaskId task_;
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace interleaf
