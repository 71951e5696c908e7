// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/happens_before.h"

#include <algorithm>

namespace interleaf {

void HappensBefore::begin(unsigned tasks) {
  CHECK(tasks <= kTasksMax);
  tasks_ = tasks;
  events_.clear();
  previous_of_task_.clear();
  clocks_.clear();
  last_of_object_.clear();
  std::fill_n(last_of_task_, kTasksMax, kNoEvent);
}

EventNumber HappensBefore::add(TaskId task, const Access& access) {
  const EventNumber number = size();
  const EventNumber previous_of_task = last_of_task_[task];
  const std::uint32_t own = previous_of_task == kNoEvent ? 1 : events_[previous_of_task].own + 1;
  LoggedEvent event{access.object, own, kNoEvent, number, task, access.op, access.gated};
  const bool shared = access.object != kPrivateObject;
  if (shared) {
    if (access.object >= last_of_object_.size()) {
      last_of_object_.resize(std::max<std::size_t>(64, 2ul * access.object), kNoEvent);
    }
    EventNumber& last = last_of_object_[access.object];
    event.previous = last;
    if (last != kNoEvent) {
      const CommutingClass kind = commuting_class(access.op);
      if (kind != CommutingClass::kExclusive && kind == commuting_class(events_[last].op)) {
        event.epoch = events_[last].epoch;
      }
    }
    last = number;
  }
  events_.push_back(event);
  previous_of_task_.push_back(previous_of_task);
  last_of_task_[task] = number;

  clocks_.resize(clocks_.size() + tasks_);
  std::uint32_t* const own_clock = &clocks_[std::size_t{number} * tasks_];
  if (previous_of_task != kNoEvent) {
    std::copy_n(clock(previous_of_task), tasks_, own_clock);
  }
  if (shared) {
    for_direct_predecessors(number, [&](EventNumber i) {
      const std::uint32_t* const other = clock(i);
      for (unsigned t = 0; t < tasks_; ++t) own_clock[t] = std::max(own_clock[t], other[t]);
    });
  }
  own_clock[task] = own;
  return number;
}

void HappensBefore::truncate(EventNumber count) {
  for (EventNumber number = size(); number-- > count;) {
    const LoggedEvent& event = events_[number];
    last_of_task_[event.task] = previous_of_task_[number];
    if (event.object != kPrivateObject) last_of_object_[event.object] = event.previous;
  }
  events_.resize(count);
  previous_of_task_.resize(count);
  clocks_.resize(std::size_t{count} * tasks_);
}

}  // namespace interleaf
