// SPDX-License-Identifier: GPL-2.0-only
// A loop that tries until it works: a trylock, a lookup of what somebody else has frozen. again()
// says that a turn was in vain; the task goes on when something that the turn looked at has changed
// (Scheduler::relax). Searches bound how often a loop is repeated (RunOptions::retries_max): two
// such loops may wake each other for ever, which a fair scheduler would end.
//
//   for (RetryLoop loop; !lock.try_lock();) loop.again();
#pragma once

#include <cstdint>
#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

// Lives on the stack of the task that loops, as long as the loop does. May be nested: an inner loop
// is counted by itself. Outside a run it does nothing.
class RetryLoop {
 public:
  using Where = std::source_location;

  RetryLoop() : scheduler_(Scheduler::current()) {
    if (scheduler_ != nullptr) outer_ = scheduler_->begin_loop();
  }
  ~RetryLoop() {
    if (scheduler_ != nullptr) scheduler_->end_loop(outer_);
  }
  RetryLoop(const RetryLoop&) = delete;
  RetryLoop& operator=(const RetryLoop&) = delete;

  void again(Where where = Where::current()) {
    if (scheduler_ != nullptr) scheduler_->relax(where);
  }
  // A turn that was not in vain, in a loop that does not end with it.
  void worked() {
    if (scheduler_ != nullptr) scheduler_->end_loop(0);
  }

 private:
  Scheduler* scheduler_;
  std::uint32_t outer_ = 0;
};

}  // namespace interleaf
