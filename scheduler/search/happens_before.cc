// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/happens_before.h"

#include <algorithm>

namespace interleaf {

void HappensBefore::begin(unsigned tasks) {
  CHECK(tasks <= kTasksMax);
  tasks_ = tasks;
  size_ = 0;
  events_.clear();
  clocks_.clear();
  last_of_object_.assign(64, kNoEvent);
  std::fill_n(last_of_task_, kTasksMax, kNoEvent);
}

void HappensBefore::grow() {
  const std::size_t capacity = std::max<std::size_t>(256, 2 * events_.size());
  events_.resize(capacity);
  clocks_.resize(capacity * tasks_);
}

EventNumber HappensBefore::add(TaskId task, const Access& access) {
  if (size_ == events_.size()) grow();
  const EventNumber number = size_;
  const EventNumber before = last_of_task_[task];
  const std::uint32_t own = before == kNoEvent ? 1 : events_[before].own + 1;
  std::uint32_t* const row = &clocks_[std::size_t{number} * tasks_];
  if (before == kNoEvent) {
    std::fill_n(row, tasks_, 0);
  } else {
    std::copy_n(clock(before), tasks_, row);
  }
  row[task] = own;
  put({access.object, own, kNoEvent, number, number, before, task, access.op, access.gated});
  return number;
}

void HappensBefore::also(Op op, std::uint32_t object) {
  if (size_ == events_.size()) grow();
  const LoggedEvent& last = events_[size_ - 1];
  put({object, last.own, kNoEvent, size_, last.step, last.previous_of_task, last.task, op, false});
}

void HappensBefore::put(LoggedEvent event) {
  const EventNumber number = size_++;
  last_of_task_[event.task] = number;
  if (event.object == kPrivateObject) {
    events_[number] = event;
    return;
  }
  if (event.object >= last_of_object_.size()) {
    last_of_object_.resize(2ul * event.object, kNoEvent);
  }
  EventNumber& last = last_of_object_[event.object];
  event.previous = last;
  if (last != kNoEvent) {
    const CommutingClass kind = commuting_class(event.op);
    if (kind != CommutingClass::kExclusive && kind == commuting_class(events_[last].op)) {
      event.epoch = events_[last].epoch;
    }
  }
  last = number;
  events_[number] = event;
  std::uint32_t* const row = &clocks_[std::size_t{event.step} * tasks_];
  for_direct_predecessors(number, [&](EventNumber i) {
    if (includes(row, i)) return;
    const std::uint32_t* const other = clock(i);
    for (unsigned t = 0; t < tasks_; ++t) row[t] = std::max(row[t], other[t]);
  });
}

void HappensBefore::truncate(EventNumber count) {
  while (size_ > count) {
    const LoggedEvent& event = events_[--size_];
    last_of_task_[event.task] = event.previous_of_task;
    if (event.object != kPrivateObject) last_of_object_[event.object] = event.previous;
  }
}

}  // namespace interleaf
