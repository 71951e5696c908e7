// SPDX-License-Identifier: GPL-2.0-only
// Immediate reversible races: pairs (i, j) of dependent events of different tasks with nothing
// between them in the order of happens-before, such that j could have come first. What DPOR
// backtracks for (Abdulla, Aronis, Jonsson, Sagonas: "Source sets", J. ACM 2017) and what may be
// named as a cause.
#pragma once

#include <algorithm>

#include "scheduler/search/happens_before.h"

namespace interleaf {

// An access that is announced or was performed, as far as races go.
struct RacingAccess {
  TaskId task;
  Op op;
  std::uint32_t object;
  bool gated;
};

// False only if `earlier` and `later`, accesses of one object, can be enabled in no common state:
// a lock is released while it is held and taken while it is free. True when in doubt; that costs
// runs, never a miss. A lock with a queue has an acquisition that is always enabled.
constexpr bool may_be_coenabled(const LoggedEvent& earlier, const RacingAccess& later) {
  if (earlier.op != Op::kRelease) return true;
  if (later.op == Op::kRelease) return false;
  return !(later.gated && (later.op == Op::kAcquire || later.op == Op::kWait)) &&
         later.op != Op::kGranted;
}

// Calls each(i) for every event that races with `access`, if it came right after event `last` of
// its object, latest first. `known` is the clock of what comes before the access in any case
// (log.tasks() entries: the last event of its task); it is overwritten.
//
// An event that cannot be reversed is neither told nor joined, so that the acquisition behind a
// release is found. (`joins_all`: it is joined. Wrong; for tests that must notice.)
template <typename Each>
void for_races(const HappensBefore& log, const RacingAccess& access, EventNumber last,
               std::uint32_t* known, bool joins_all, Each each) {
  if (access.object == kPrivateObject) return;
  const CommutingClass kind = commuting_class(access.op);
  for (EventNumber i = last; i != kNoEvent; i = log[i].previous) {
    const LoggedEvent& event = log[i];
    const CommutingClass other = commuting_class(event.op);
    if (event.task == access.task && !log.includes(known, i)) continue;  // of its own step
    if (log.includes(known, i)) {
      if (other == CommutingClass::kExclusive) return;  // so are all before it
      continue;
    }
    if (kind == other && kind != CommutingClass::kExclusive) continue;
    const bool reversible = may_be_coenabled(event, access);
    if (!reversible && !joins_all) continue;
    if (reversible) each(i);
    const std::uint32_t* const clock = log.clock(i);
    for (unsigned t = 0; t < log.tasks(); ++t) known[t] = std::max(known[t], clock[t]);
  }
}

// The same for all events of the step that event `first` of the log began: each(i, j) for a race of
// event i with event j of the step.
template <typename Each>
void for_races_of_step(const HappensBefore& log, EventNumber first, bool joins_all, Each each) {
  if (!log.joins(first)) return;
  std::uint32_t known[kTasksMax];
  log.copy_clock(log[first].previous_of_task, known);
  for (EventNumber j = first; j < log.size() && log[j].step == first; ++j) {
    const LoggedEvent& event = log[j];
    for_races(log, {event.task, event.op, event.object, event.gated}, event.previous, known,
              joins_all, [&](EventNumber i) { each(i, j); });
  }
}

template <typename Each>
void for_races_of_step(const HappensBefore& log, EventNumber first, Each each) {
  for_races_of_step(log, first, false, each);
}

}  // namespace interleaf
