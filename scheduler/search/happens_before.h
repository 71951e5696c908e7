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
#include <cstring>
#include <utility>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/check.h"
#include "scheduler/dependence.h"

namespace interleaf {

// The number of an event: 0, 1, ... in the order of the run.
using EventNumber = std::uint32_t;
inline constexpr EventNumber kNoEvent = ~EventNumber{0};
// What whoever keeps the log may note of an event.
inline constexpr std::uint32_t kNoChoice = ~std::uint32_t{0};
inline constexpr std::uint8_t kNoValue = 0xff;

struct LoggedEvent {
  std::uint32_t object;
  EventNumber previous;          // the one before it on its object; kNoEvent: none, or private
  std::uint32_t own;             // 1, 2, ... among the steps of its task
  EventNumber epoch;             // the first event of its epoch
  EventNumber step;              // the event that began its step
  EventNumber previous_of_task;  // the last one of the task's step before; kNoEvent: none
  std::uint32_t choice;          // of the event that began a step: as add() was told
  TaskId task;
  Op op;
  std::uint8_t value;  // of a data choice; kNoValue: not told, or none
  bool gated : 1;      // only some states of the object allowed it
  bool joins : 7;      // of the event that began a step: see joins(); as wide as the rest of
                       // the byte, so that an event is written without reading what was there
};
static_assert(sizeof(LoggedEvent) == 32);

class HappensBefore {
 public:
  // Forgets everything; `tasks` tasks take part.
  void begin(unsigned tasks);
  // `task` performs what it announced. Returns the number of the event.
  [[gnu::always_inline]] EventNumber add(TaskId task, const Access& access,
                                         std::uint32_t choice = kNoChoice) {
    const EventNumber number = size_;
    if (number == capacity_) [[unlikely]]
      grow();
    const EventNumber before = std::exchange(last_of_task_[task], number);
    const std::uint32_t* from = kNothing;
    std::uint32_t own = 1;
    if (before != kNoEvent) [[likely]] {
      from = row_of(events_[before].step);
      own = events_[before].own + 1;
    }
    std::uint32_t* const row = row_of(number);
    copy_row(from, row);
    row[task] = own;  // told by the log: to read it back from the row would wait for that
    size_ = number + 1;
    LoggedEvent& event = events_[number];
    event = {access.object, kNoEvent, own,       number,   number,       before,
             choice,        task,     access.op, kNoValue, access.gated, false};
    if (access.object != kPrivateObject) follow_object(number, row);
    return number;
  }
  // The step that add() began last does this besides.
  void also(Op op, std::uint32_t object);
  // The data choice that an event was came out as `value`.
  void set_value(EventNumber number, std::uint8_t value) { events_[number].value = value; }
  // Takes back all events from number `count` on. If a step began before, what is left of it stays.
  void truncate(EventNumber count);

  EventNumber size() const { return size_; }
  unsigned tasks() const { return tasks_; }
  const LoggedEvent& operator[](EventNumber number) const { return events_[number]; }

  // True if `i` happens before `j` or is of the same step.
  bool before(EventNumber i, EventNumber j) const { return includes(clock(j), i); }
  // How many steps of each task happen before that of event `j`, itself included: tasks() numbers.
  const std::uint32_t* clock(EventNumber j) const {
    return &clocks_[std::size_t{events_[j].step} * width_];
  }
  // The same; of kNoEvent: nothing comes before.
  const std::uint32_t* clock_or_none(EventNumber j) const {
    return j == kNoEvent ? kNothing : clock(j);
  }
  // To kTasksMax numbers, of which those beyond tasks() come out as anything.
  void copy_clock(EventNumber j, std::uint32_t* to) const { copy_row(clock_or_none(j), to); }
  // False only if all that the step of event `j` follows, the step before of its task does, too.
  bool joins(EventNumber j) const { return events_[events_[j].step].joins; }
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
  static constexpr std::uint32_t kNothing[kTasksMax] = {};

  // Event `number`, the last one, is there but for what it follows on its object; `row` is that of
  // its step.
  [[gnu::always_inline]] void follow_object(EventNumber number, const std::uint32_t* row) {
    LoggedEvent& event = events_[number];
    if (event.object >= last_of_object_.size()) [[unlikely]]
      grow_objects(event.object);
    const EventNumber last = std::exchange(last_of_object_[event.object], number);
    if (last == kNoEvent) return;
    event.previous = last;
    const CommutingClass kind = commuting_class(event.op);
    EventNumber follows = last;
    if (kind != CommutingClass::kExclusive && kind == commuting_class(events_[last].op)) {
      event.epoch = events_[last].epoch;
      follows = events_[event.epoch].previous;
    }
    if (follows == kNoEvent) return;
    // As a rule an epoch of one event, by the same task.
    if (events_[follows].epoch != follows || !includes(row, follows)) join(event.step, follows);
  }
  void join(EventNumber step, EventNumber last);
  void order_anew(EventNumber step);
  void grow();
  void grow_objects(std::uint32_t object);

  std::uint32_t* row_of(EventNumber step) { return &clocks_[std::size_t{step} * width_]; }
  void copy_row(const std::uint32_t* from, std::uint32_t* to) const {
    const unsigned width = width_;  // which what is copied might be, as far as compilers know
    unsigned t = 0;
    do {
      std::memcpy(to + t, from + t, sizeof(*to) * kBlock);
      t += kBlock;
    } while (t < width);
  }

  static constexpr unsigned kBlock = 4;  // entries of a clock that are copied at a time
  static_assert(kTasksMax % kBlock == 0);

  unsigned tasks_ = 0;
  unsigned width_ = 0;  // of a row of clocks_: tasks_, rounded up to whole blocks
  EventNumber size_ = 0;
  EventNumber capacity_ = 0;           // of events_ and clocks_
  std::vector<LoggedEvent> events_;    // the first size_
  std::vector<std::uint32_t> clocks_;  // width_ per event; those of a step's first event count
  std::vector<EventNumber> last_of_object_;
  EventNumber last_of_task_[kTasksMax] = {};
};

}  // namespace interleaf
