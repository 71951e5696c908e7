// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/scheduler.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "scheduler/detect/deadlock.h"
#include "scheduler/fiber.h"
#include "scheduler/object_names.h"
#include "scheduler/strategies/keep_running.h"

namespace interleaf {

constinit thread_local ThreadState t_state;

Frame::Frame(const Function& function) : task_(nullptr) {
  Scheduler* scheduler = t_state.running;
  if (scheduler == nullptr) return;
  task_ = &scheduler->current_task();
  CHECK(task_->depth < Task::kDepthMax);
  task_->stack[task_->depth++] = &function;
  if (task_->entered_count < Task::kEnteredMax) task_->entered[task_->entered_count++] = &function;
  if (scheduler->observer_ != nullptr) [[unlikely]] {
    HeapScope heap;
    scheduler->observer_->enter(*scheduler, *task_, function);
  }
}

Frame::~Frame() {
  if (task_ == nullptr) return;
  const Function& function = *task_->stack[--task_->depth];
  Scheduler* scheduler = t_state.running;
  if (scheduler->observer_ != nullptr) [[unlikely]] {
    HeapScope heap;
    scheduler->observer_->leave(*scheduler, *task_, function);
  }
}

void Scheduler::gated_point(Op op, ObjectNumber& object, const void* address, Gate& gate, bool open,
                            const char* waits_for, Where where, Order order) {
  if (kNoPoints && open) return;
  announce(op, object, address, true, where, order);
  const TaskMask self = task_bit(current_);
  Task& task = *task_;
  task.next.gated = true;
  gate.waiting |= self;
  task.waits_for = waits_for;  // it may be open now and close before the task goes on
  if (!open) runnable_ &= ~self;
  decide();
  perform();
  task.waits_for = nullptr;
  check_alive(object, address, where);
  gate.waiting &= ~self;
}

unsigned Scheduler::choose(const char* kind, unsigned count, Where where) {
  CHECK(count >= 1 && count < kDataChoice);
  if (count == 1) return 0;
  ObjectNumber own{kPrivateObject};  // no other task can see it
  point(Op::kChoice, own, nullptr, true, where);
  if (epilogue_) return 0;
  const unsigned value = strategy_->pick_value(*this, kind, count);
  CHECK(value < count);
  add_choice(static_cast<std::uint8_t>(kDataChoice | value));
  mix(value);
  if (observer_ != nullptr) {
    HeapScope heap;
    observer_->choice(*this, *task_, kind, value);
  }
  return value;
}

void Scheduler::relax(Where where) {
  const TaskMask self = task_bit(current_);
  if (task_->polled == nullptr) {
    task_->polled = new Polled;
    task_->polled->turns = 1;
    polling_ |= self;
    refresh_unusual();
    return;
  }
  Polled& polled = *task_->polled;
  ObjectNumber own{kPrivateObject};
  announce(Op::kRelax, own, nullptr, true, where);
  polled.blind = polled.objects.empty();
  if (polled.blind) polled.changed = steps_ - task_->own_steps != polled.others_steps;
  ++polled.turns;
  if (retries_max_ != 0 && polled.turns > retries_max_ && !epilogue_) {
    runnable_ &= ~self;
    left_ |= self;
  } else if (!polled.changed) {
    runnable_ &= ~self;
    relaxing_ |= self;
  }
  end_stay();
  decide();
  perform();
  if (sees_also_ && !epilogue_) {
    for (const std::uint32_t object : polled.objects) tell_also(Op::kRead, object);
  }
  polled.objects.clear();
  polled.changed = polled.blind = false;
  polled.others_steps = steps_ - task_->own_steps;
}

void Scheduler::wait_for_quiet(Where where) {
  ObjectNumber own{kPrivateObject};
  announce(Op::kWait, own, nullptr, true, where);
  runnable_ &= ~task_bit(current_);
  quiet_ |= task_bit(current_);
  decide();
  perform();
}

void Scheduler::number(ObjectNumber& object, const void* address, Where where) {
  if (object.value == 0) {
    object.value = ++objects_;
    CHECK(objects_ < kPoisoned);
    // Where objects are, by number: who frees memory knows it only by address.
    std::vector<ObjectNumber*>& places = outside_->places;
    if (objects_ >= places.size()) {
      const HeapScope heap;
      places.resize(2ul * objects_);
    }
    places[objects_] = &object;
    return;
  }
  const Arena::Block* block = arena_->find(address);
  const char* type =
      block != nullptr && block->type != nullptr ? block->type->role_name() : "memory";
  const bool live = block != nullptr && Arena::is_live(*block);
  std::string what = std::string("access to ") + (live ? "an uninitialised " : "a freed ") + type +
                     " at line " + std::to_string(where.line());
  if (const std::string name = name_at(*this, address); !name.empty()) what += ": " + name;
  report(FindingKind::kUseAfterFree, type, what, true);
}

void Scheduler::tell_also(Op op, std::uint32_t object) {
  const HeapScope heap;
  strategy_->also(*this, op, object);
}

// A number in the memory is an object's if the object is there.
void Scheduler::tell_freed(const void* begin, std::size_t bytes) {
  const HeapScope heap;
  const auto* words = static_cast<const std::uint32_t*>(begin);
  for (std::size_t i = 0; i < bytes / sizeof(std::uint32_t); ++i) {
    const std::uint32_t number = words[i];
    if (number <= kPrivateObject || number > objects_) continue;
    if (reinterpret_cast<const std::uint32_t*>(outside_->places[number]) != &words[i]) continue;
    strategy_->also(*this, Op::kFree, number);
  }
}

// As a rule of a search that prunes.
[[gnu::always_inline]] inline TaskId Scheduler::only_choice() {
  end_stay();  // who goes on then need not be who was picked
  if (runnable_ == 0) runnable_ = std::exchange(quiet_, 0);
  if (runnable_ == 0) end_run(judge_hang());
  if (epilogue_) return keep_running(*this, runnable_);
  const auto only = static_cast<TaskId>(std::countr_zero(runnable_));
  if (!sees_forced_) return only;
  strategy_->forced(*this, only);
  if (strategy_->leaves) [[unlikely]]
    leave();
  return only;
}

// Nobody resumes it.
void Scheduler::leave() {
  strategy_->leaves = false;
  CHECK(current_ != kNoTask);
  end_ = RunEnd::kPaused;
  fibers_->resume_main();
  CHECK(false);
}

void Scheduler::decide() {
  const TaskMask runnable = runnable_;
  if (runnable == stay_->among && stay_->left != 0) {
    --stay_->left;
    add_choice(current_);
    return;
  }
  TaskId next = 0;
  if ((runnable & (runnable - 1)) == 0 || priming_ || epilogue_) [[unlikely]] {
    if (priming_) {
      fibers_->resume_main();
      return;
    }
    next = only_choice();
  } else {
    next = strategy_->pick(*this, runnable);
    if (next == Strategy::kPause) [[unlikely]]
      next = wait_for_answer(runnable);
    CHECK(next < kTasksMax && (runnable & task_bit(next)) != 0);
    add_choice(next);
  }
  if (next == current_) return;
  ++switches_;
  preemptions_ += runnable >> current_ & 1;
  set_current(next);
  fibers_->resume(next);
}

TaskId Scheduler::wait_for_answer(TaskMask runnable) {
  TaskId next = Strategy::kPause;
  while (next == Strategy::kPause) {
    end_ = RunEnd::kPaused;
    fibers_->resume_main();
    next = strategy_->pick(*this, runnable);
  }
  return next;
}

TaskId Scheduler::first_choice() {
  if ((runnable_ & (runnable_ - 1)) == 0) return only_choice();
  const TaskId next = strategy_->pick(*this, runnable_);
  if (next == Strategy::kPause) {
    end_ = RunEnd::kPaused;
    return next;
  }
  CHECK(next < kTasksMax && (runnable_ & task_bit(next)) != 0);
  add_choice(next);
  return next;
}

void Scheduler::watch_polled(const Task& task) {
  const Access& access = task.next;
  for (TaskMask rest = polling_; rest != 0; rest &= rest - 1) {
    const auto id = static_cast<TaskId>(std::countr_zero(rest));
    Polled& polled = *tasks_[id]->polled;
    std::vector<std::uint32_t>& objects = polled.objects;
    const bool known = std::find(objects.begin(), objects.end(), access.object) != objects.end();
    if (id == task.id) {
      if (!known && access.object != kPrivateObject) objects.push_back(access.object);
    } else if (polled.blind || (known && !op_only_reads(access.op))) {
      polled.changed = true;
      runnable_ |= relaxing_ & task_bit(id);
      relaxing_ &= ~task_bit(id);
    }
  }
}

void Scheduler::perform_unusual(Task& task) {
  if (polling_ != 0) watch_polled(task);
  if (observer_ != nullptr) {
    HeapScope heap;
    observer_->event(*this, task, task.next);
  }
  if (races_ != nullptr && !epilogue_) find_races(task);
  if (steps_ >= steps_max_ && died_) end_run(RunEnd::kStopped);
  if (steps_ >= steps_max_) {
    report(FindingKind::kLivelock, task.function() == nullptr ? "task" : task.function()->name,
           "no end after " + std::to_string(steps_) + " steps; " + task.name + " was running" +
               most_turns(),
           false);
    end_run(RunEnd::kLivelock);
  }
}

// Of the task that repeated a loop most often, if one does: a reason why there is no end.
std::string Scheduler::most_turns() const {
  const Task* most = nullptr;
  for (TaskMask rest = polling_; rest != 0; rest &= rest - 1) {
    const Task& task = *tasks_[std::countr_zero(rest)];
    if (task.finished || task.polled->turns < 2) continue;
    if (most == nullptr || task.polled->turns > most->polled->turns) most = &task;
  }
  if (most == nullptr) return "";
  const Function* function = most->function();
  return "; " + std::string(most->name) + " repeated a loop" +
         (function == nullptr ? "" : std::string(" of ") + function->name) + " " +
         std::to_string(most->polled->turns) + " times in vain";
}

TaskMask Scheduler::left() const {
  TaskMask left = 0;
  for (TaskMask rest = left_; rest != 0; rest &= rest - 1) {
    const auto id = static_cast<TaskId>(std::countr_zero(rest));
    if (tasks_[id]->polled->changed) left |= task_bit(id);
  }
  return left;
}

void Scheduler::find_races(const Task& task) {
  const HeapScope heap;
  for (std::size_t i = races_->access(task, task.next, steps_); i > 0; --i) {
    const DataRace::Race race = races_->race(i - 1);
    add_finding(describe_data_race(*this, race.earlier, race.later));
  }
}

void Scheduler::grow_schedule() {
  const HeapScope heap;
  outside_->schedule.resize(std::max<std::size_t>(4096, 2 * choices_));
  attach_schedule();
}

void Scheduler::add_remark(std::string_view text) {
  HeapScope heap;
  observer_->remark(*this, *task_, text);
}

std::uint8_t Scheduler::lock_class_index(const LockClass& lock_class) {
  return outside_->lock_order.index(lock_class);
}

void Scheduler::claim(const void* address, std::uint8_t lock_class, bool shared, Where where) {
  task_->claim(address, steps_, where, lock_class, shared);
}

void Scheduler::lock_taken(const void* lock, std::uint8_t lock_class, bool shared, Where where) {
  task_->claim(lock, steps_, where, lock_class, shared);
  if (races_ != nullptr) [[unlikely]]
    races_->lock_taken(current_, task_->next.object, shared);
}

namespace {

[[gnu::noinline]] void report_not_held(Scheduler& s, std::source_location where) {
  s.report(FindingKind::kKernelBug, "lock",
           "unlock of a lock that the task does not hold, at line " + std::to_string(where.line()),
           true);
}

}  // namespace

void Scheduler::lock_dropped(const void* lock, Where where) {
  HeldLocks& held = task_->held;
  std::size_t place = held.size();
  while (place > 0 && held[place - 1].lock != lock) --place;
  if (place == 0) {
    report_not_held(*this, where);
    return;
  }
  const std::uint8_t dropped = held[place - 1].class_index;
  held.erase(place - 1);
  for (const HeldLock& other : held) {
    if (other.class_index == dropped) return;
  }
  task_->held_classes &= ~(std::uint64_t{1} << dropped);
}

void Scheduler::report(FindingKind kind, std::string_view object, std::string_view message,
                       bool fatal, std::vector<std::string> details) {
  {
    HeapScope heap;
    Finding finding;
    finding.kind = kind;
    finding.step = steps_;
    finding.object = object;
    finding.message = message;
    finding.details.assign(details.begin(), details.end());
    if (current_ != kNoTask) {
      const Task& task = *task_;
      finding.task = current_;
      finding.task_name = task.name;
      for (unsigned i = 0; i < task.depth; ++i) finding.stack.emplace_back(task.stack[i]->name);
    }
    add_finding(std::move(finding));
  }
  if (fatal) die();
}

void Scheduler::die() {
  if (priming_ || current_ == kNoTask) end_run(RunEnd::kStopped);
  died_ = true;
  task_->finished = true;
  runnable_ &= ~task_bit(current_);
  if (!task_->daemon) --foreground_;
  t_state.allocate_from = arena_;  // whoever goes on allocates here, whatever was reported from
  decide();
  std::abort();  // nobody resumes it
}

// Requires: a HeapScope.
void Scheduler::add_finding(Finding finding) {
  mix(static_cast<std::uint64_t>(finding.kind));
  outside_->findings.resize(findings_);
  outside_->findings.push_back(std::move(finding));
  ++findings_;
}

void Scheduler::report_sleep_in_atomic(Where where) {
  if (!detectors_.sleep_in_atomic) return;
  const Task& task = *task_;
  std::string what = "might sleep at line " + std::to_string(where.line()) + " while atomic";
  if (task.rcu_depth != 0) what += ", in an RCU read section";
  for (const HeldLock& held : task.held) {
    what += std::string(", holding ") + outside_->lock_order.name(held.class_index);
  }
  report(FindingKind::kSleepInAtomic, task.function() == nullptr ? "task" : task.function()->name,
         what, true);
}

void Scheduler::new_lock_order(const void* lock, std::uint8_t lock_class, Where where) {
  const Task& task = *task_;
  const LockOrder::Cycles cycles =
      outside_->lock_order.add(task.held_classes, lock_class, task, steps_ + 1, where);
  if (!detectors_.lock_order) return;
  for (const LockOrder::Path& path : cycles) report_lock_order(path, lock, lock_class);
}

void Scheduler::report_lock_order(const LockOrder::Path& path, const void* lock,
                                  std::uint8_t lock_class) {
  const Task& task = *task_;
  std::string object;
  std::vector<std::string> details = describe_lock_order(*this, outside_->lock_order, path, object);
  const auto name = [&](std::uint8_t index, const void* which) {
    const std::string instance = instance_at(*this, which);
    return outside_->lock_order.name(index) + (instance.empty() ? "" : " (" + instance + ")");
  };
  const std::uint8_t held_class = path.classes[path.length - 1];
  const auto held = std::find_if(task.held.begin(), task.held.end(), [&](const HeldLock& each) {
    return each.class_index == held_class;
  });
  report(FindingKind::kLockOrder, object,
         std::string("possible circular locking dependency: ") + task.name + " asks for " +
             name(lock_class, lock) + " while it holds " +
             name(held_class, held == task.held.end() ? nullptr : held->lock),
         false, std::move(details));
}

TaskId Scheduler::spawn(std::string_view name, void (*body)(void*), void* argument, bool daemon) {
  CHECK(t_state.running == nullptr && task_count_ < kTasksMax);
  auto* task = new Task();
  auto* copy = new char[name.size() + 1];
  std::memcpy(copy, name.data(), name.size());
  copy[name.size()] = 0;
  task->id = task_count_;
  task->daemon = daemon;
  task->name = copy;
  TaskRoom& room = outside_->rooms[task_count_];
  task->stack = room.stack;
  task->entered = room.entered;
  task->held = HeldLocks(room.held);
  outside_->bodies[task_count_] = {body, argument};
  tasks_[task_count_] = task;
  runnable_ |= task_bit(task_count_);
  if (!daemon) ++foreground_;
  return task_count_++;
}

namespace {

// What restore_outside() reads from the image, since the arena was written the moment before, and
// to wait for that would take longer than the copying.
struct RoomInUse {
  std::uint32_t stack, entered, held;
};

constexpr std::size_t kPointer = sizeof(void*);

}  // namespace

void Scheduler::save_outside(Image& image) const {
  const std::uint32_t objects = objects_ - kPrivateObject;
  image.append(&objects, sizeof(objects));
  if (objects != 0) {
    image.append(&outside_->places[kPrivateObject + 1], objects * kPointer);
  }
  for (TaskId id = 0; id < task_count_; ++id) {
    const Task& task = *tasks_[id];
    const RoomInUse in_use{task.depth, task.entered_count, task.held.in_room()};
    image.append(&in_use, sizeof(in_use));
    image.append(task.stack, in_use.stack * kPointer);
    image.append(task.entered, in_use.entered * kPointer);
    image.append(task.held.begin(), in_use.held * sizeof(HeldLock));
  }
  outside_->lock_order.save(image);
}

void Scheduler::restore_outside(ImageReader& image) {
  std::uint32_t objects = 0;
  image.take(&objects, sizeof(objects));
  if (objects != 0) {
    image.take(&outside_->places[kPrivateObject + 1], objects * kPointer);
  }
  for (TaskId id = 0; id < task_count_; ++id) {
    RoomInUse in_use;
    image.take(&in_use, sizeof(in_use));
    TaskRoom& room = outside_->rooms[id];
    image.take(room.stack, in_use.stack * kPointer);
    image.take(room.entered, in_use.entered * kPointer);
    image.take(room.held, in_use.held * sizeof(HeldLock));
  }
  outside_->lock_order.restore(image);
}

void Scheduler::run_task(void* self, unsigned worker) {
  auto* scheduler = static_cast<Scheduler*>(self);
  const Body& body = scheduler->outside_->bodies[worker];
  body.function(body.argument);
  scheduler->finish_task();
}

void Scheduler::finish_task() {
  Task& task = *task_;
  if (!task.held.empty()) {
    const char* lock = outside_->lock_order.name(task.held.back().class_index);
    report(FindingKind::kLockHeldAtEnd, lock,
           std::string(task.name) + " ended with " + lock + " held since step " +
               std::to_string(task.held.back().step),
           false);
  }
  task.finished = true;
  runnable_ &= ~task_bit(current_);
  if (!task.daemon) --foreground_;
  decide();
  CHECK(false);  // nobody resumes a finished task
}

RunEnd Scheduler::judge_hang() {
  if (foreground_ == 0) return died_ ? RunEnd::kStopped : RunEnd::kFinished;
  TaskMask polling = relaxing_ | left_;
  for (TaskId id = 0; id < task_count_; ++id) {
    if (tasks_[id]->daemon) polling &= ~task_bit(id);
  }
  if (polling != 0 && died_) return RunEnd::kStopped;
  // Who was left might have helped the others.
  const bool cut = left() != 0;
  if (polling != 0 && !cut) {
    const TaskId ran = current_;
    set_current(static_cast<TaskId>(std::countr_zero(polling)));
    report(FindingKind::kLivelock, "task", "every task that could go on polls for a change", false);
    set_current(ran);
    return RunEnd::kLivelock;
  }
  Deadlock deadlock = describe_deadlock(*this);
  // Who waits for a task that is dead hangs for no reason of its own.
  if (died_ && !deadlock.cycle) return RunEnd::kStopped;
  if (cut && !deadlock.cycle) return RunEnd::kCut;
  // Whoever ran last has nothing to do with it: the stack of a task that hangs says more, and is
  // the same however the others came to an end.
  const TaskId ran = current_;
  set_current(deadlock.first);
  report(FindingKind::kDeadlock, deadlock.object, deadlock.summary, false,
         std::move(deadlock.lines));
  set_current(ran);
  return RunEnd::kDeadlock;
}

void Scheduler::end_run(RunEnd end) {
  end_ = end;
  stopped_at_boot_ = priming_;
  fibers_->resume_main();
  std::abort();  // the main context starts the next run from the boot image
}

}  // namespace interleaf

// Inside a run, memory comes from the arena: it rewinds with the World and use after free is seen.
void* operator new(std::size_t bytes) {
  using interleaf::t_state;
  if (t_state.allocate_from != nullptr) return t_state.allocate_from->allocate(bytes);
  if (void* data = std::malloc(bytes == 0 ? 1 : bytes)) return data;
  throw std::bad_alloc();
}

void* interleaf::allocate_typed(std::size_t bytes, const BlockType& type) {
  if (t_state.allocate_from != nullptr) return t_state.allocate_from->allocate(bytes, 16, &type);
  return operator new(bytes);
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  using interleaf::t_state;
  const auto align = static_cast<std::size_t>(alignment);
  if (t_state.allocate_from != nullptr) return t_state.allocate_from->allocate(bytes, align);
  if (void* data = std::aligned_alloc(align, (bytes + align - 1) / align * align)) return data;
  throw std::bad_alloc();
}

// Spelled out, since a sanitizer's own ones would be taken otherwise.
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return operator new(bytes, alignment);
}

void operator delete(void* data) noexcept {
  using interleaf::t_state;
  if (!interleaf::Arena::any_contains(data)) {
    std::free(data);
    return;
  }
  interleaf::Scheduler* scheduler = t_state.instance;
  if (scheduler == nullptr || !scheduler->arena().contains(data)) return;
  if (scheduler->free(data) == interleaf::Arena::FreeResult::kFreed) return;
  if (t_state.running != nullptr) {
    scheduler->report(interleaf::FindingKind::kUseAfterFree, "memory", "freed twice", true);
  }
}

void operator delete(void* data, std::size_t) noexcept { operator delete(data); }
void operator delete(void* data, std::align_val_t) noexcept { operator delete(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { operator delete(data); }
void operator delete[](void* data) noexcept { operator delete(data); }
void operator delete[](void* data, std::size_t) noexcept { operator delete(data); }
void operator delete[](void* data, std::align_val_t) noexcept { operator delete(data); }
void operator delete[](void* data, std::size_t, std::align_val_t) noexcept {
  operator delete(data);
}
