// SPDX-License-Identifier: GPL-2.0-only
// A counting semaphore, first come first served as Linux's (kernel/locking/semaphore.c). Whoever
// finds the count at zero is queued (a point, Acquire) and goes on when up() hands it the place (a
// second point, Granted). It has no owner: any task may call up(), and lock order does not know it.
// The points of up() are shared releases: two of them commute, since the queue is served in the
// order of arrival whichever comes first.
#pragma once

#include <cstdint>
#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

class Semaphore {
 public:
  using Where = std::source_location;

  // `name` is for reports; static storage duration. `count`: how many may have it at once.
  Semaphore(const char* name, std::uint32_t count) : name_(name), count_(count) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  void down(Where where = Where::current());
  // True if it was had at once. (Linux's returns 0 then.)
  bool down_trylock(Where where = Where::current());
  void up(Where where = Where::current());

  std::uint32_t peek_count() const { return count_; }

 private:
  const char* name_;
  mutable ObjectNumber number_;
  Gate gate_;  // of those that up() has to let go on
  std::uint32_t count_;
  std::uint8_t queued_ = 0;
  TaskId queue_[kTasksMax] = {};  // in order of arrival
};

}  // namespace interleaf
