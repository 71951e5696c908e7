// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/dpor_walk.h"

#include <bit>
#include <thread>
#include <utility>

#include "scheduler/check.h"

namespace interleaf {
namespace {

// Who polls goes on when something changed: not in every state.
bool is_gated(Op op, bool gated) { return gated || op == Op::kRelax; }

}  // namespace

// ---- the path
// ------------------------------------------------------------------------------------

void DporWalk::adopt(DporPath path) {
  path_ = std::move(path);
  fresh_ = true;
}

bool DporWalk::back_to_open_choice(const std::function<bool()>& gives_up) {
  while (!path_.empty()) {
    DporStep& step = path_.back();
    {
      auto lock = locked(*step.node);
      while (step.node->todo() != 0 && !step.node->settled()) {
        lock.unlock();
        if (gives_up()) return false;
        std::this_thread::yield();
        lock.lock();
      }
      if (step.node->todo() != 0) {
        step.choose();
        if (fresh_) return true;  // nothing of the path was run here
        log_.truncate(step.events);
        return true;
      }
    }
    if (!step.node->shared) spare_.push_back(std::move(step.node));
    path_.pop_back();
  }
  return false;
}

DporPath DporWalk::give_away() {
  const std::lock_guard lock(tree_);
  for (std::size_t place = 0; place < path_.size(); ++place) {
    if (path_[place].node->todo() == 0 || !path_[place].node->settled()) continue;
    DporPath given(path_.begin(), path_.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    for (const DporStep& step : given) step.node->shared = true;
    given.back().choose();
    return given;
  }
  return {};
}

DporNode& DporWalk::append(TaskMask enabled, std::uint8_t taken, bool data) {
  DporStep& step = path_.emplace_back();
  if (spare_.empty()) {
    step.node = std::make_shared<DporNode>();
  } else {
    step.node = std::move(spare_.back());
    spare_.pop_back();
  }
  step.taken = taken;
  step.events = at_;
  DporNode& node = *step.node;
  node.enabled = enabled;
  node.done = task_bit(taken);
  node.known = 0;
  node.backtrack = data ? enabled : node.done;
  node.sleep = sleep_;
  node.besides = besides_;
  node.data = data;
  return node;
}

// The tasks that are covered where the last choice is made.
void DporWalk::fall_asleep(const DporStep& step) {
  const auto lock = locked(*step.node);
  sleep_ = step.node->sleep | step.covered;
  besides_ = step.node->besides;
}

// ---- the run
// -------------------------------------------------------------------------------------

void DporWalk::go_on_from(const Mark& mark) {
  at_ = mark.events;
  finished_ = absent_;
  open_step_ = kNoEvent;
  saved_choice_ = mark.choices;
  saved_step_ = mark.step;
  pause_ = Pause::kNone;
}

void DporWalk::begin(std::uint64_t) {
  at_ = 0;
  finished_ = absent_;
  saved_step_ = 0;
  saved_choice_ = kNever;
  pause_ = Pause::kNone;
  sleep_ = 0;
  besides_.clear();
  open_step_ = kNoEvent;
}

void DporWalk::end(const Scheduler& s, bool cut) {
  if (pause_ != Pause::kNone) return;
  if (!cut) {
    settle(s);
  } else if (open_step_ != kNoEvent) {
    complete_step(s);
  }
}

Hash128 DporWalk::order() const {
  OrderHash order;
  order.clear();
  for (EventNumber i = 0; i < at_; ++i) {
    order.event(log_[i].task, log_[i].op, log_[i].object);
    if (log_[i].value != kNoValue) order.value(log_[i].task, log_[i].value);
  }
  return order.total();
}

// Out of line, since as a rule there is nothing to repeat.
bool DporWalk::repeat_known(const Scheduler& s, TaskId task, bool known, std::uint32_t place) {
  const HeapScope heap;
  if (std::exchange(fresh_, false)) {
    log_.begin(s.task_count());
    absent_ = ~((TaskMask{1} << s.task_count()) - 1);
    finished_ |= absent_;
  }
  if (at_ < log_.size()) {
    CHECK(log_[at_].task == task);
    ++at_;
  } else if (known) {  // an adopted path
    log_.add(task, s.task(task).next, place);
    ++at_;
  } else {
    return false;
  }
  ++replayed;
  return true;
}

TaskId DporWalk::pick(const Scheduler& s, TaskMask runnable) {
  const HeapScope heap;
  const std::size_t choice = s.choices();
  if (choice < path_.size()) {
    const DporStep& step = path_[choice];
    const bool known = choice + 1 < path_.size();
    if (repeat(s, step.taken, known, static_cast<std::uint32_t>(choice))) return step.taken;
    CHECK(at_ == step.events);
    if (options_.snapshots && choice != saved_choice_ && s.step() >= saved_step_ + snapshot_steps) {
      pause_ = Pause::kSnapshot;
      return kPause;
    }
    fall_asleep(step);
    perform(s, step.taken, static_cast<std::uint32_t>(choice));
    return step.taken;
  }
  if (fresh_) repeat(s, kNoTask, false, kForced);
  if (pause_ == Pause::kRedundant || pause_ == Pause::kCut) return kPause;
  settle(s);
  if (has(DporFault::kCutAtFinding) && !s.findings().empty()) {
    pause_ = Pause::kCut;
    return kPause;
  }
  const TaskMask candidates = runnable & ~sleep_;
  if (candidates == 0) {
    pause_ = Pause::kRedundant;
    return kPause;
  }
  if (options_.snapshots && choice != saved_choice_ && s.step() >= saved_step_ + snapshot_steps) {
    pause_ = Pause::kSnapshot;
    return kPause;
  }
  const TaskId task = preferred(s, candidates);
  append(runnable, task, false);
  perform(s, task, static_cast<std::uint32_t>(choice));
  return task;
}

unsigned DporWalk::pick_value(const Scheduler& s, const char*, unsigned count) {
  const HeapScope heap;
  const std::size_t choice = s.choices();
  if (pause_ == Pause::kRedundant) return 0;  // a forced step was; nothing of it counts
  if (choice == path_.size()) {
    CHECK(count <= 64);  // as many as the mask holds; nobody has more
    append(count == 64 ? ~TaskMask{0} : (TaskMask{1} << count) - 1, 0, true);
  } else if (choice + 1 == path_.size() && open_step_ == kNoEvent) {
    fall_asleep(path_[choice]);
    open_step_ = log_[at_ - 1].step;  // what else it does follows from the value
    open_mark_ = s.arena().used();
  }
  log_.set_value(at_ - 1, path_[choice].taken);
  return path_[choice].taken;
}

void DporWalk::forced(const Scheduler& s, TaskId only) {
  if (repeat(s, only, s.choices() < path_.size(), kForced)) return;
  if (pause_ == Pause::kRedundant) return;
  settle(s);
  // Covered already: left at the next choice, or when the run ends.
  if ((sleep_ & task_bit(only)) != 0) {
    pause_ = Pause::kRedundant;
    return;
  }
  perform(s, only, kForced);
}

void DporWalk::also(const Scheduler&, Op op, std::uint32_t object) {
  const HeapScope heap;
  if (pause_ == Pause::kRedundant) return;
  if (at_ < log_.size()) {  // of the known prefix
    CHECK(log_[at_].object == object);
    ++at_;
    return;
  }
  log_.also(op, object);
  ++at_;
}

// Steps that nobody else's depends on first, so that choices lie deep and little is repeated for
// each; else the running task, so that first findings have few preemptions; then who has not run.
TaskId DporWalk::preferred(const Scheduler& s, TaskMask candidates) const {
  const TaskId ran = s.current_id();
  const bool goes_on = ran != kNoTask && (candidates & task_bit(ran)) != 0;
  if (goes_on && !users_.contended(s.task(ran).next)) return ran;
  TaskId fresh = kNoTask;
  for (TaskMask rest = candidates; rest != 0; rest &= rest - 1) {
    const auto id = static_cast<TaskId>(std::countr_zero(rest));
    if (!users_.contended(s.task(id).next)) return id;
    if (fresh == kNoTask && s.task(id).own_steps == 0) fresh = id;
  }
  if (goes_on) return ran;
  return fresh != kNoTask ? fresh : static_cast<TaskId>(std::countr_zero(candidates));
}

// ---- steps
// ---------------------------------------------------------------------------------------

// What the last step races with, and who need not sleep after it.
void DporWalk::complete_step(const Scheduler& s) {
  const HeapScope heap;
  const EventNumber first = open_step_;
  if (log_.joins(first)) reverse_races(first);
  if (sleep_ != 0) wake(s, first);
  if (log_[first].choice != kForced) note_besides(s, first);
  if (besides_.empty()) return;
  std::erase_if(besides_, [&](const Besides& b) { return (sleep_ & task_bit(b.task)) == 0; });
}

// Of the step that event `first` began, with what came before.
void DporWalk::reverse_races(EventNumber first) {
  bool seen = false;
  const bool joins_all = has(DporFault::kJoinReleases);
  for_races_of_step(log_, first, joins_all, [&](EventNumber i, EventNumber) {
    if (!seen || !has(DporFault::kLastRaceOnly)) reverse(i, first);
    seen = true;
  });
}

// What the step that event `first` began did besides, for those who try another one at its choice.
void DporWalk::note_besides(const Scheduler& s, EventNumber first) {
  const TaskId self = log_[first].task;
  DporNode& node = *path_[log_[first].choice].node;
  const auto lock = locked(node);
  for (EventNumber k = first + 1; k < log_.size(); ++k) {
    const std::uint64_t object = s.place_of(log_[k].object);
    if (object < open_mark_) node.besides.push_back({self, log_[k].op, object});
  }
  node.known |= task_bit(self);
}

// Whoever's next step conflicts with the step that event `first` began need not sleep any longer.
void DporWalk::wake(const Scheduler& s, EventNumber first) {
  for (EventNumber k = first; k < log_.size() && sleep_ != 0; ++k) {
    if (log_[k].object != kPrivateObject) wake(s, log_[k].op, log_[k].object);
  }
}

void DporWalk::wake(const Scheduler& s, Op op, std::uint32_t object) {
  for (TaskMask rest = sleep_; rest != 0; rest &= rest - 1) {
    const auto id = static_cast<TaskId>(std::countr_zero(rest));
    const Access& next = s.task(id).next;
    if (next.object == object && conflict(next.op, op)) sleep_ &= ~task_bit(id);
  }
  if (besides_.empty()) return;
  const std::uint64_t place = s.place_of(object);
  for (const Besides& b : besides_) {
    if (b.place == place && conflict(b.op, op)) sleep_ &= ~task_bit(b.task);
  }
}

// ---- races
// ---------------------------------------------------------------------------------------

void DporWalk::look_at_blocked(TaskId id, const Access& access) {
  const RacingAccess racing{id, access.op, access.object, is_gated(access.op, access.gated)};
  std::uint32_t known[kTasksMax];
  log_.copy_clock(log_.last_of_task(id), known);
  const EventNumber last = log_.last_of_object(access.object);
  for_races(log_, racing, last, known, has(DporFault::kJoinReleases), [&](EventNumber i) {
    if (nothing_left(i)) return;
    reverse(i, log_.size(), racing, follows_nothing_since(i, racing, last));
  });
}

// True if whoever could have gone on before event i is tried there already, or nobody else could.
bool DporWalk::nothing_left(EventNumber i) {
  const std::uint32_t place = log_[log_[i].step].choice;
  if (place == kForced) return true;
  DporStep& step = path_[place];
  if (step.full) return true;
  const DporNode& node = *step.node;
  const auto lock = locked(node);
  step.full = (node.enabled & ~(node.backtrack | node.sleep)) == 0;
  return step.full;
}

// Sees to it that some run has the step that event `first` began before that of event i.
void DporWalk::reverse(EventNumber i, EventNumber first) {
  if (nothing_left(i)) return;
  const LoggedEvent& main = log_[first];
  const RacingAccess later{main.task, main.op, main.object, is_gated(main.op, main.gated)};
  bool free = true;
  for (EventNumber k = first; k < log_.size() && free; ++k) {
    const LoggedEvent& event = log_[k];
    free = follows_nothing_since(i, {event.task, event.op, event.object, false}, event.previous);
  }
  reverse(i, first, later, free);
}

// The same, with what lies before event `end`; `free`: `later` follows none of it but what
// follows i. Requires: something is left.
void DporWalk::reverse(EventNumber i, EventNumber end, const RacingAccess& later, bool free) {
  const EventNumber step = log_[i].step;
  DporNode& node = *path_[log_[step].choice].node;
  TaskMask moved = 0;  // tasks with an event after i
  TaskMask first = initials(step, end, moved);
  if (free && (moved & task_bit(later.task)) == 0) first |= task_bit(later.task);
  first &= node.enabled;
  const auto lock = locked(node);
  if (free && (was_shut(node, later, moved) || opens(i, later))) return;
  if (first == 0 || !can_be_reversed(i, later, node, moved)) {
    ++fallbacks;
    if (!has(DporFault::kNoFallback)) node.backtrack |= node.enabled;
    return;
  }
  if ((first & (node.backtrack | node.sleep)) != 0) return;
  const TaskMask own = first & task_bit(later.task);
  node.backtrack |= own != 0 ? own : first & (~first + 1);
}

// The tasks whose first step after step `i`, before `end`, follows neither i nor any since.
TaskMask DporWalk::initials(EventNumber i, EventNumber end, TaskMask& moved) const {
  TaskMask found = 0;
  for (EventNumber k = log_.end_of_step(i); k < end; ++k) {
    if (log_[k].step != k) continue;
    const TaskMask self = task_bit(log_[k].task);
    if ((moved & self) != 0) continue;
    moved |= self;
    if (!log_.before(i, k) && begins_after(i, k)) found |= self;
  }
  return found;
}

// True if what the step of event k follows directly on its objects lies before event i.
bool DporWalk::begins_after(EventNumber i, EventNumber k) const {
  for (EventNumber event = k; event < log_.size() && log_[event].step == k; ++event) {
    const EventNumber direct = log_.last_of_previous_epoch(event);
    if (direct != kNoEvent && direct >= i && direct < k) return false;
  }
  return true;
}

// True if no event from i to `last` on the object of `later` that does not itself follow i is
// dependent with it.
bool DporWalk::follows_nothing_since(EventNumber i, const RacingAccess& later,
                                     EventNumber last) const {
  if (later.object == kPrivateObject) return true;
  for (EventNumber k = last; k != kNoEvent && k > i; k = log_[k].previous) {
    if (log_[k].task == later.task || log_.before(i, k)) continue;
    if (conflict(later.op, log_[k].op)) return false;
  }
  return true;
}

// True if `later` was announced at the choice and blocked, and none of its own moved it since: what
// came after then opened it, and cannot come behind it. Requires: nothing that its gate looks at
// happened since but what follows the choice.
bool DporWalk::was_shut(const DporNode& node, const RacingAccess& later, TaskMask moved) {
  if (!later.gated || later.op == Op::kRelax) return false;  // who polls looks at many objects
  return ((moved | node.enabled) & task_bit(later.task)) == 0;
}

// True if event i is the first that could let `later` go on: a completion's or a thread's end.
bool DporWalk::opens(EventNumber i, const RacingAccess& later) const {
  const bool waits = later.op == Op::kWait || later.op == Op::kAwait;
  if (!later.gated || !waits || log_[i].object != later.object) return false;
  if (log_[i].op == Op::kEnd) return true;
  if (log_[i].op != Op::kWake) return false;
  for (EventNumber k = log_[i].previous; k != kNoEvent; k = log_[k].previous) {
    if (log_[k].op == Op::kWake) return false;
  }
  return true;
}

// True if `later` is known to be enabled before event i and after what does not follow i.
bool DporWalk::can_be_reversed(EventNumber i, const RacingAccess& later, const DporNode& node,
                               TaskMask moved) const {
  if (!later.gated) return true;
  // It had announced the same, and could have gone on.
  const TaskMask self = task_bit(later.task);
  if ((moved & self) == 0 && (node.enabled & self) != 0) return true;
  // What took it away was waiting for the same condition: "free", "done".
  const auto waits = [](Op op) { return op == Op::kAcquire || op == Op::kWait; };
  return log_[i].gated && waits(log_[i].op) && waits(later.op) && log_[i].object == later.object;
}

}  // namespace interleaf
