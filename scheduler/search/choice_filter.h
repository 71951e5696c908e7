// SPDX-License-Identifier: GPL-2.0-only
// Takes answers away from a search: what a program would do if something enforced an order.
//
// The cache of a search (bounded.h) takes two prefixes with one key for the same. That stays right
// if what is allowed follows from the order of a prefix alone, not from which of its linearisations
// was run: from what each task has done and has announced, and from no clock, address or number of
// the step.
#pragma once

#include "scheduler/scheduler.h"

namespace interleaf {

class ChoiceFilter {
 public:
  virtual ~ChoiceFilter() = default;
  // A run begins.
  virtual void begin() = 0;
  // Those of `runnable` (one or more) that may go on; at least one. May allocate.
  virtual TaskMask allowed(const Scheduler& scheduler, TaskMask runnable) = 0;
  // `task` goes on with what it announced. Called for every step, forced ones too.
  virtual void goes_on(const Scheduler& scheduler, TaskId task) = 0;
};

}  // namespace interleaf
