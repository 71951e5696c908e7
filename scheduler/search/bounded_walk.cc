// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/bounded_walk.h"

#include <bit>
#include <utility>

#include "scheduler/check.h"

namespace interleaf {

unsigned level_part(const Hash128& key) {
  const auto of_64 = static_cast<unsigned>(scramble(key.high) >> 58);
  return of_64 < 1 ? 0 : of_64 < 4 ? 1 : of_64 < 16 ? 2 : 3;
}

void BoundedWalk::go_on_from(const Mark& mark, bool rewound) {
  if (rewound) {
    order_ = mark.order;
    key_ = mark.key;
  }
  saved_step_ = mark.step;
  saved_choice_ = mark.choices;
  detour_ = kNoTask;
  pause_ = Pause::kNone;
}

void BoundedWalk::begin(std::uint64_t) {
  order_.clear();
  key_.forget();
  saved_step_ = 0;
  saved_choice_ = kNever;
  detour_ = kNoTask;
  pause_ = Pause::kNone;
  if (options_.filter != nullptr) options_.filter->begin();
}

TaskId BoundedWalk::pick(const Scheduler& s, TaskMask runnable) {
  const HeapScope heap;
  const std::size_t at = s.choices();
  if (options_.filter != nullptr) runnable = options_.filter->allowed(s, runnable);
  if (was_detour(runnable)) {
    pause_ = Pause::kSeen;
    return kPause;
  }
  if (at == path.size() && !append(s, runnable)) return kPause;
  const Choice& choice = path[at];
  CHECK(choice.taken < kDataChoice);
  if (options_.snapshots && choice.todo != 0 && at != saved_choice_ &&
      s.step() >= saved_step_ + options_.snapshot_steps) {
    pause_ = Pause::kSnapshot;
    return kPause;
  }
  order_.event(choice.taken, s.task(choice.taken).next);
  if (options_.filter != nullptr) {
    options_.filter->goes_on(s, choice.taken);
  } else if (choice.taken != s.current_id() && s.task(choice.taken).next.op == Op::kAwait &&
             s.current_id() != kNoTask && (runnable & task_bit(s.current_id())) != 0) {
    detour_ = choice.taken;
  }
  return choice.taken;
}

bool BoundedWalk::was_detour(TaskMask runnable) {
  const TaskId task = std::exchange(detour_, kNoTask);
  return task != kNoTask && (runnable & task_bit(task)) == 0;
}

unsigned BoundedWalk::pick_value(const Scheduler& s, const char*, unsigned count) {
  const HeapScope heap;
  if (s.choices() == path.size()) {
    // 64 values fit the mask; nobody has more.
    CHECK(count <= 64);
    const TaskMask all = count == 64 ? ~TaskMask{0} : (TaskMask{1} << count) - 1;
    path.push_back({kDataChoice, 0, all & ~TaskMask{1}, 0});
  }
  const unsigned value = path[s.choices()].taken & ~unsigned{kDataChoice};
  order_.value(s.current_id(), value);
  return value;
}

void BoundedWalk::forced(const Scheduler& s, TaskId only) {
  const HeapScope heap;
  detour_ = kNoTask;
  if (check_ != nullptr && s.choices() == path.size()) {
    check_->prefix(s, order_, task_bit(only), key_.announced(s, order_, task_bit(only)));
  }
  order_.event(only, s.task(only).next);
  if (options_.filter != nullptr) {
    options_.filter->allowed(s, task_bit(only));  // it is told that nobody else can go on
    options_.filter->goes_on(s, only);
  }
}

bool BoundedWalk::append(const Scheduler& s, TaskMask runnable) {
  if (check_ != nullptr) {
    check_->prefix(s, order_, runnable, key_.announced(s, order_, runnable));
  }
  const TaskId ran = s.current_id();
  const bool goes_on = ran != kNoTask && (runnable & task_bit(ran)) != 0;
  if (goes_on && !keeps_later && s.task(ran).own_steps % kClaimSteps != 0) {
    path.push_back({ran, 0, 0, 0});
    return true;
  }
  const Hash128 key = key_.of(s, order_, runnable);
  if (!seen_.insert(key)) {
    pause_ = Pause::kSeen;
    return false;
  }
  Choice choice;
  if (goes_on) {
    choice.taken = ran;
    choice.part = static_cast<std::uint8_t>(level_part(key));
    if (keeps_later) choice.later = runnable & ~task_bit(ran);
  } else {
    choice.taken = static_cast<TaskId>(std::countr_zero(runnable));
    choice.todo = runnable & ~task_bit(choice.taken);
  }
  path.push_back(choice);
  return true;
}

}  // namespace interleaf
