// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/happens_before.h"

#include <algorithm>

#include "scheduler/scheduler.h"

namespace interleaf {

void HappensBefore::begin(unsigned tasks) {
  CHECK(tasks <= kTasksMax);
  tasks_ = tasks;
  width_ = (tasks + kBlock - 1) / kBlock * kBlock;
  size_ = 0;
  capacity_ = 0;
  events_.clear();
  clocks_.clear();
  last_of_object_.assign(64, kNoEvent);
  std::fill_n(last_of_task_, kTasksMax, kNoEvent);
}

void HappensBefore::grow() {
  const HeapScope heap;
  capacity_ = std::max<EventNumber>(256, 2 * capacity_);
  events_.resize(capacity_);
  clocks_.resize(std::size_t{capacity_} * width_);
}

void HappensBefore::grow_objects(std::uint32_t object) {
  const HeapScope heap;
  last_of_object_.resize(2ul * object, kNoEvent);
}

void HappensBefore::also(Op op, std::uint32_t object) {
  const EventNumber number = size_;
  if (number == capacity_) [[unlikely]]
    grow();
  LoggedEvent& event = events_[number];
  event = events_[number - 1];
  event.object = object;
  event.previous = kNoEvent;
  event.epoch = number;
  event.choice = kNoChoice;
  event.op = op;
  event.value = kNoValue;
  event.gated = false;
  event.joins = false;
  last_of_task_[event.task] = number;
  size_ = number + 1;
  if (object != kPrivateObject) follow_object(number, row_of(event.step));
}

// The step comes after the epoch that ends with event `last`.
void HappensBefore::join(EventNumber step, EventNumber last) {
  const unsigned tasks = tasks_;
  std::uint32_t* const row = row_of(step);
  const EventNumber first = events_[last].epoch;
  for (EventNumber i = last;; i = events_[i].previous) {
    if (!includes(row, i)) {
      const std::uint32_t* const other = clock(i);
      for (unsigned t = 0; t < tasks; ++t) row[t] = std::max(row[t], other[t]);
      events_[step].joins = true;
    }
    if (i == first) return;
  }
}

void HappensBefore::truncate(EventNumber count) {
  if (count >= size_) return;
  const bool within = events_[count].step != count;
  const LoggedEvent* const events = events_.data();
  EventNumber* const last_of_object = last_of_object_.data();
  for (EventNumber i = size_; i-- > count;) {
    last_of_task_[events[i].task] = events[i].previous_of_task;
    if (events[i].object != kPrivateObject) last_of_object[events[i].object] = events[i].previous;
  }
  size_ = count;
  if (!within) return;
  last_of_task_[events[count - 1].task] = count - 1;
  order_anew(events[count - 1].step);
}

// The last step, of which events were taken back.
void HappensBefore::order_anew(EventNumber step) {
  LoggedEvent& event = events_[step];
  const std::uint32_t* const from = clock_or_none(event.previous_of_task);
  std::uint32_t* const row = row_of(step);
  copy_row(from, row);
  row[event.task] = event.own;
  event.joins = false;
  for (EventNumber k = step; k < size_; ++k) {
    if (events_[k].previous == kNoEvent) continue;
    const EventNumber follows = last_of_previous_epoch(k);
    if (follows != kNoEvent) join(step, follows);
  }
}

}  // namespace interleaf
