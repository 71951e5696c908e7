// SPDX-License-Identifier: GPL-2.0-only
// The events of one run and their order: event i happens before event j iff i comes first in every
// run that one can reach from this one by exchanging neighbours that commute (dependence.h). This
// is the order of partial-order reduction, in which every lock and every access counts; the order
// of the memory model, for data races, has fewer edges (detect/data_race.h).
//
// Events are added in the order of the run, a vector clock each (Mattern 1989), and taken back from
// the end, so that a search can go back to a branch. An event is an access: the one that a step
// announced, followed by what the step did besides (Strategy::also). All of a step is one in the
// order: it comes before or after another step as a whole. The events of an object fall into
// epochs: one exclusive event, or several that commute. All of an epoch come before all of the next
// one.
//
// Not thread-safe. Memory: 32 bytes and four per task for an event.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/check.h"
#include "scheduler/dependence.h"

namespace interleaf {

// The number of an event: 0, 1, ... in the order of the run.
using EventNumber = std::uint32_t;
inline constexpr EventNumber kNoEvent = ~EventNumber{0};

struct LoggedEvent {
  std::uint32_t object;
  std::uint32_t own;             // 1, 2, ... among the steps of its task
  EventNumber previous;          // the one before it on its object; kNoEvent: none, or private
  EventNumber epoch;             // the first event of its epoch
  EventNumber step;              // the event that began its step
  EventNumber previous_of_task;  // the last one of the task's step before; kNoEvent: none
  TaskId task;
  Op op;
  bool gated;  // only some states of the object allowed it
};

class HappensBefore {
 public:
  // Forgets everything; `tasks` tasks take part.
  void begin(unsigned tasks);
  // `task` performs what it announced. Returns the number of the event.
  EventNumber add(TaskId task, const Access& access);
  // The step that add() began last does this besides.
  void also(Op op, std::uint32_t object);
  // Takes back all events from number `count` on. Requires: a step begins there, or the end.
  void truncate(EventNumber count);

  EventNumber size() const { return size_; }
  unsigned tasks() const { return tasks_; }
  const LoggedEvent& operator[](EventNumber number) const { return events_[number]; }

  // True if `i` happens before `j` or is of the same step.
  bool before(EventNumber i, EventNumber j) const { return includes(clock(j), i); }
  // How many steps of each task happen before that of event `j`, itself included: tasks() numbers.
  const std::uint32_t* clock(EventNumber j) const {
    return &clocks_[std::size_t{events_[j].step} * tasks_];
  }
  // The same as a copy; of kNoEvent: nothing comes before.
  void copy_clock(EventNumber j, std::uint32_t* to) const {
    for (unsigned t = 0; t < tasks_; ++t) to[t] = j == kNoEvent ? 0 : clock(j)[t];
  }
  bool includes(const std::uint32_t* clock, EventNumber i) const {
    return clock[events_[i].task] >= events_[i].own;
  }

  // The last event of a task, of an object; kNoEvent if there is none.
  EventNumber last_of_task(TaskId task) const { return last_of_task_[task]; }
  EventNumber last_of_object(std::uint32_t object) const {
    return object < last_of_object_.size() ? last_of_object_[object] : kNoEvent;
  }
  // The last event of the epoch that an event's epoch follows; all of that epoch happens before it.
  EventNumber last_of_previous_epoch(EventNumber number) const {
    return events_[events_[number].epoch].previous;
  }
  // The event after the last one of the step.
  EventNumber end_of_step(EventNumber number) const {
    const EventNumber step = events_[number].step;
    do {
      ++number;
    } while (number < size_ && events_[number].step == step);
    return number;
  }

  // Calls each(i) for the events that `number` follows directly on its object: those of the epoch
  // before its own, latest first. With the step before of its task, these of all events of a step
  // are all that the order of the step comes from.
  template <typename Each>
  void for_direct_predecessors(EventNumber number, Each each) const {
    const EventNumber last = last_of_previous_epoch(number);
    if (last == kNoEvent) return;
    const EventNumber first = events_[last].epoch;
    for (EventNumber i = last;; i = events_[i].previous) {
      each(i);
      if (i == first) return;
    }
  }

 private:
  void put(EventNumber number);
  void grow();

  unsigned tasks_ = 0;
  EventNumber size_ = 0;
  std::vector<LoggedEvent> events_;    // the first size_
  std::vector<std::uint32_t> clocks_;  // tasks_ per event; those of a step's first event count
  std::vector<EventNumber> last_of_object_;
  EventNumber last_of_task_[kTasksMax] = {};
};

}  // namespace interleaf
