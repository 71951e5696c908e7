// SPDX-License-Identifier: GPL-2.0-only
// One obligation of an abstract schedule (rff.cc) in the course of a run.
//
//   + read sees write
//     waiting   the read is avoided, the write taken;       the write     -> written
//     written   the read is taken, other writes avoided;    the read      -> over
//                                                           other writes  -> waiting
//   - read does not see write
//     waiting   nothing;                                    the write     -> written
//     written   the read is avoided, other writes taken;    other writes  -> hidden
//                                                           the read      -> over
//     hidden    the read is taken, the write avoided;       the read      -> over
//                                                           the write     -> written
//
// Once there was a write, all this is about its object and reads of other tasks.
#pragma once

#include <cstdint>

#include "scheduler/access.h"
#include "scheduler/strategies/learning.h"
#include "scheduler/strategies/reads_from.h"

namespace interleaf {

struct Obligation {
  ReadsFrom pair;
  bool positive = true;
};

class ObligationMachine {
 public:
  enum class Advice : std::uint8_t { kNeutral, kTake, kAvoid };

  explicit ObligationMachine(const Obligation& obligation) : obligation_(obligation) {}

  // About `task`, which announced `event`.
  Advice advise(TaskId task, AbstractEvent event, const Access& access) const {
    const bool writes = event == obligation_.pair.write;
    const bool reads = event == obligation_.pair.read;
    if (state_ == State::kOver) return Advice::kNeutral;
    if (state_ == State::kWaiting) {
      if (!obligation_.positive) return Advice::kNeutral;
      return writes ? Advice::kTake : reads ? Advice::kAvoid : Advice::kNeutral;
    }
    if (access.object != object_) return Advice::kNeutral;
    const bool by_other = task != writer_;
    const bool hides = op_affects(access.op) && !writes;
    if (state_ == State::kHidden) {
      return reads && by_other ? Advice::kTake : writes ? Advice::kAvoid : Advice::kNeutral;
    }
    if (reads && by_other) return obligation_.positive ? Advice::kTake : Advice::kAvoid;
    if (hides) return obligation_.positive ? Advice::kAvoid : Advice::kTake;
    return Advice::kNeutral;
  }

  // `task` performs `event`.
  void performed(TaskId task, AbstractEvent event, const Access& access) {
    if (state_ == State::kOver) return;
    const bool writes = event == obligation_.pair.write;
    const bool here = state_ != State::kWaiting && access.object == object_;
    if (here && event == obligation_.pair.read && task != writer_) {
      state_ = State::kOver;
    } else if (writes) {
      state_ = State::kWritten;
      object_ = access.object;
      writer_ = task;
    } else if (here && state_ == State::kWritten && op_affects(access.op)) {
      state_ = obligation_.positive ? State::kWaiting : State::kHidden;
    }
  }

 private:
  enum class State : std::uint8_t { kWaiting, kWritten, kHidden, kOver };

  Obligation obligation_;
  State state_ = State::kWaiting;
  std::uint32_t object_ = 0;  // that was written
  TaskId writer_ = kNoTask;
};

}  // namespace interleaf
