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
    sleeping_ = mark.sleeping;
    went_on_ = kNever;
    step_choice_ = kNever;
    await_ = kNever;
    doomed_ = false;
  }
  saved_step_ = mark.step;
  saved_choice_ = mark.choices;
  detour_ = kNoTask;
  pause_ = Pause::kNone;
}

void BoundedWalk::begin(std::uint64_t) {
  order_.clear();
  key_.forget();
  sleeping_ = 0;
  went_on_ = kNever;
  step_choice_ = kNever;
  await_ = kNever;
  doomed_ = false;
  saved_step_ = 0;
  saved_choice_ = kNever;
  detour_ = kNoTask;
  pause_ = Pause::kNone;
  if (options_.filter != nullptr) options_.filter->begin();
}

TaskId BoundedWalk::pick(const Scheduler& s, TaskMask runnable) {
  const HeapScope heap;
  const std::size_t at = s.choices();
  step_ended(s);
  segment.at_choice(s, runnable, sleeping_);
  if (options_.filter != nullptr) runnable = options_.filter->allowed(s, runnable);
  if (const bool detour = was_detour(runnable); detour || doomed_) {
    pause_ = detour ? Pause::kDetour : Pause::kSeen;
    return kPause;
  }
  if (at == path.size() && !append(s, runnable)) return kPause;
  Choice& choice = path[at];
  CHECK(choice.taken < kDataChoice);
  const bool wanted = choice.todo != 0 && s.step() >= saved_step_ + options_.snapshot_steps;
  if (options_.snapshots && (wanted || at == snapshot_at) && at != saved_choice_) {
    pause_ = Pause::kSnapshot;
    return kPause;
  }
  const TaskId ran = s.current_id();
  choice.sleeps = choice.alone && choice.taken != ran;
  if (choice.sleeps) sleeping_ |= task_bit(ran);
  const bool goes_on = ran != kNoTask && (runnable & task_bit(ran)) != 0;
  if (reduces_ && at == watched_ && goes_on && choice.taken != ran) {
    segment.begin(ran, choice.taken);
  }
  order_.event(choice.taken, s.task(choice.taken).next);
  if (choice.taken == ran) {
    choice.runs_on = ran;
    choice.op = s.task(ran).next.op;
    choice.object = s.task(ran).next.object;
  }
  went_on_ = choice.taken == ran ? at : kNever;
  if (reduces_ && !goes_on && s.task(choice.taken).next.op == Op::kAwait) await_ = at;
  step_begins(s, choice.taken, went_on_);
  if (options_.filter != nullptr) {
    options_.filter->goes_on(s, choice.taken);
  } else if (goes_on && choice.taken != ran && s.task(choice.taken).next.op == Op::kAwait) {
    detour_ = choice.taken;
  }
  return choice.taken;
}

bool BoundedWalk::was_detour(TaskMask runnable) {
  const TaskId task = std::exchange(detour_, kNoTask);
  return task != kNoTask && (runnable & task_bit(task)) == 0;
}

void BoundedWalk::step_begins(const Scheduler& s, TaskId task, std::size_t went_on) {
  if (!reduces_) return;
  const Access& access = s.task(task).next;
  doomed_ = doomed_ || (sleeping_ & task_bit(task)) != 0;
  sleeping_ &= ~task_bit(task);
  if (access.op == Op::kRelax) sleeping_ = 0;
  wake(s, access.op, access.object);
  segment.access(task, access.op, access.object);
  also_ = access.op == Op::kRelax;
  step_choice_ = went_on;
  findings_ = s.findings().size();
  lock_order_ = s.last_lock_order();
}

void BoundedWalk::step_ended(const Scheduler& s) {
  if (!reduces_) return;
  const TaskId ran = s.current_id();
  // Whoever else could go on there does so as well behind an await that leads to a block.
  if (await_ != kNever && (s.runnable() & task_bit(ran)) == 0) path[await_].todo = 0;
  await_ = kNever;
  if (step_choice_ != kNever) {
    path[step_choice_].alone =
        !also_ && s.findings().size() == findings_ && s.last_lock_order() == lock_order_;
  }
  step_choice_ = kNever;
  if (ran == kNoTask || sleeping_ == 0 || (s.runnable() & task_bit(ran)) != 0) return;
  const Task& task = s.task(ran);
  if (task.finished) return;
  if (task.next.op == Op::kRelax) sleeping_ = 0;
  wake(s, task.next.op, task.next.object);
}

void BoundedWalk::wake(const Scheduler& s, Op op, std::uint32_t object) {
  if (object == kPrivateObject) return;
  for (TaskMask rest = sleeping_; rest != 0; rest &= rest - 1) {
    const auto id = static_cast<TaskId>(std::countr_zero(rest));
    const Access& next = s.task(id).next;
    if (next.object == object && conflict(next.op, op)) sleeping_ &= ~task_bit(id);
  }
}

unsigned BoundedWalk::pick_value(const Scheduler& s, const char*, unsigned count) {
  const HeapScope heap;
  if (s.choices() == path.size()) {
    // 64 values fit the mask; nobody has more.
    CHECK(count <= 64);
    const TaskMask all = count == 64 ? ~TaskMask{0} : (TaskMask{1} << count) - 1;
    path.push_back({.taken = kDataChoice, .todo = all & ~TaskMask{1}});
  }
  segment.give_up();
  const unsigned value = path[s.choices()].taken & ~unsigned{kDataChoice};
  order_.value(s.current_id(), value);
  return value;
}

void BoundedWalk::forced(const Scheduler& s, TaskId only) {
  const HeapScope heap;
  step_ended(s);
  segment.at_choice(s, task_bit(only), sleeping_);
  if (went_on_ != kNever) path[went_on_].alone = false;
  if (reduces_ && s.current_id() != kNoTask && s.choices() == path.size() &&
      (doomed_ || (only != s.current_id() && !seen_.insert(key_at(s, task_bit(only)))))) {
    pause_ = Pause::kSeen;
    leaves = true;
    return;
  }
  detour_ = kNoTask;
  if (check_ != nullptr && s.choices() == path.size()) {
    check_->prefix(s, order_, task_bit(only), key_.announced(s, order_, task_bit(only)));
  }
  order_.event(only, s.task(only).next);
  step_begins(s, only, kNever);
  if (options_.filter != nullptr) {
    options_.filter->allowed(s, task_bit(only));  // it is told that nobody else can go on
    options_.filter->goes_on(s, only);
  }
}

Hash128 BoundedWalk::key_at(const Scheduler& s, TaskMask runnable) {
  Hash128 key = key_.of(s, order_, runnable);
  if (sleeping_ != 0) key.mix({sleeping_, 1});
  return key;
}

// Of those at a free switch: who awaits, else who was not preempted in the segment at hand.
TaskId BoundedWalk::first_of(const Scheduler& s, TaskMask awake) const {
  TaskMask first = segment.open() ? awake & ~task_bit(segment.preempted()) : awake;
  if (first == 0) first = awake;
  for (TaskMask rest = reduces_ ? first : 0; rest != 0; rest &= rest - 1) {
    const auto id = static_cast<TaskId>(std::countr_zero(rest));
    if (s.task(id).next.op == Op::kAwait) return id;
  }
  return static_cast<TaskId>(std::countr_zero(first));
}

bool BoundedWalk::append(const Scheduler& s, TaskMask runnable) {
  if (check_ != nullptr) {
    check_->prefix(s, order_, runnable, key_.announced(s, order_, runnable));
  }
  const TaskId ran = s.current_id();
  const bool goes_on = ran != kNoTask && (runnable & task_bit(ran)) != 0;
  if (goes_on && !keeps_later && s.task(ran).own_steps % kClaimSteps != 0) {
    path.push_back({.taken = ran});
    return true;
  }
  const TaskMask awake = runnable & ~sleeping_;
  if (awake == 0) {
    pause_ = Pause::kSeen;
    return false;
  }
  const Hash128 key = key_at(s, runnable);
  if (!seen_.insert(key)) {
    pause_ = Pause::kSeen;
    return false;
  }
  Choice choice;
  if (goes_on) {
    choice.taken = ran;
    choice.part = static_cast<std::uint8_t>(level_part(key));
    if (keeps_later) choice.later = awake & ~task_bit(ran);
  } else {
    choice.taken = first_of(s, awake);
    choice.todo = awake & ~task_bit(choice.taken);
  }
  path.push_back(choice);
  return true;
}

}  // namespace interleaf
