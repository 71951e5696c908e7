// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/segment.h"

#include <bit>
#include <utility>

namespace interleaf {

void Segment::begin(TaskId preempted, TaskId next) {
  preempted_ = preempted;
  task_ = kNoTask;
  open_ = true;
  whole_ = false;
  parts_ = 0;
  enabled_ = 0;
  since_[next] = 0;
  part_[0].clear();
  footprint_.clear();
}

void Segment::access(TaskId task, Op op, std::uint32_t object) {
  if (!open_) return;
  task_ = task;
  if (op == Op::kRelax) open_ = false;
  for (unsigned i = since_[task]; i < parts_; ++i) {
    if (part_[i].conflicts(op, object)) open_ = false;
  }
  part_[parts_].add(op, object);
}

void Segment::at_choice(const Scheduler& s, TaskMask runnable, TaskMask sleeping) {
  if (!open_ || task_ == kNoTask || (runnable & task_bit(task_)) != 0) return;
  const TaskId ended = task_;
  const Task& task = s.task(ended);
  // Where it blocks counts as a part of it: in another order it might not.
  if (!task.finished) access(ended, task.next.op, task.next.object);
  const TaskMask enabled = runnable & ~sleeping & ~task_bit(preempted_);
  // Who could go on and cannot any more might have come first.
  if ((enabled_ & ~enabled & ~task_bit(ended)) != 0) open_ = false;
  if (!open_) return;
  task_ = kNoTask;
  ++parts_;
  if (enabled == 0) {
    open_ = false;
    whole_ = add_blocked(s, runnable);
    return;
  }
  if (parts_ == kPartsMax) {
    open_ = false;
    return;
  }
  part_[parts_].clear();
  for (TaskMask rest = enabled & ~enabled_; rest != 0; rest &= rest - 1) {
    since_[std::countr_zero(rest)] = static_cast<std::uint8_t>(parts_);
  }
  enabled_ = enabled;
}

// False if one polls: then what it waits for is not known.
bool Segment::add_blocked(const Scheduler& s, TaskMask runnable) {
  for (unsigned i = 0; i < parts_; ++i) footprint_.add(part_[i]);
  for (TaskId id = 0; id < s.task_count(); ++id) {
    const Task& task = s.task(id);
    if (task.finished || (runnable & task_bit(id)) != 0) continue;
    if (task.next.op == Op::kRelax) return false;
    footprint_.add(task.next.op, task.next.object);
  }
  return true;
}

}  // namespace interleaf
