// SPDX-License-Identifier: GPL-2.0-only
// What may happen between a preemption and the next step of the task that was preempted, if no
// other preemption comes between: the task that was chosen goes on until it blocks or ends, then
// one that can, and so on. One run shows it: every task that could go on is run, each once it is
// its turn, until none is left but the preempted one. If each of these parts depends on none that
// it might have changed places with (those since the task could go on), all other orders of parts
// have the same steps. If one does, or a value was chosen, or a task polled, nothing is said.
//
// A step of the preempted task that is independent of all these steps, and of what the tasks that
// are blocked then wait to do, may as well come first: bounded.h.
#pragma once

#include <cstdint>

#include "scheduler/scheduler.h"
#include "scheduler/search/footprint.h"

namespace interleaf {

class Segment {
 public:
  // `next` was chosen though `preempted` could have gone on.
  void begin(TaskId preempted, TaskId next);
  // A task performs this, or does it besides.
  void access(TaskId task, Op op, std::uint32_t object);
  // Nothing can be said of it.
  void give_up() { open_ = whole_ = false; }
  // The run is before a choice among `runnable`; those in `sleeping` are not chosen.
  void at_choice(const Scheduler& s, TaskMask runnable, TaskMask sleeping);

  // The run is within one: whoever else can is to go on before the preempted task.
  bool open() const { return open_; }
  TaskId preempted() const { return preempted_; }
  // All of it was seen. Then:
  bool whole() const { return whole_; }
  Footprint& footprint() { return footprint_; }
  // Its first part was seen, and nothing else of it.
  bool one_part() const { return open_ && parts_ == 1 && task_ == kNoTask; }
  // Requires: one_part(). With what its task waits to do now.
  Footprint& first_part() { return part_[0]; }

 private:
  static constexpr unsigned kPartsMax = 8;

  bool add_blocked(const Scheduler& s, TaskMask runnable);

  TaskId preempted_ = kNoTask;
  TaskId task_ = kNoTask;  // of the part at hand; kNoTask: between two parts
  bool open_ = false;
  bool whole_ = false;
  unsigned parts_ = 0;                  // that have ended
  TaskMask enabled_ = 0;                // when the last one ended
  std::uint8_t since_[kTasksMax] = {};  // the part since which a task could go on
  Footprint part_[kPartsMax];
  Footprint footprint_;
};

}  // namespace interleaf
