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
    for (unsigned t = 0; t < tasks_; ++t) row[t] = 0;
  } else {
    const std::uint32_t* const from = clock(before);
    for (unsigned t = 0; t < tasks_; ++t) row[t] = from[t];
  }
  row[task] = own;
  LoggedEvent& event = events_[number];
  event.object = access.object;
  event.own = own;
  event.step = number;
  event.previous_of_task = before;
  event.task = task;
  event.op = access.op;
  event.gated = access.gated;
  put(number);
  return number;
}

void HappensBefore::also(Op op, std::uint32_t object) {
  if (size_ == events_.size()) grow();
  const LoggedEvent& last = events_[size_ - 1];
  LoggedEvent& event = events_[size_];
  event.object = object;
  event.own = last.own;
  event.step = last.step;
  event.previous_of_task = last.previous_of_task;
  event.task = last.task;
  event.op = op;
  event.gated = false;
  put(size_);
}

// Event `number` is there but for what it follows on its object.
void HappensBefore::put(EventNumber number) {
  LoggedEvent& event = events_[number];
  ++size_;
  last_of_task_[event.task] = number;
  event.previous = kNoEvent;
  event.epoch = number;
  if (event.object == kPrivateObject) return;
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
