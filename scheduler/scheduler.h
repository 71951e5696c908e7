// SPDX-License-Identifier: GPL-2.0-only
// Decides which task goes on at every scheduling point. A task announces its next access, one of
// all runnable tasks is chosen, stacks are switched only if another one won, and the winner
// performs its access and runs on to its next announcement. Sync types call the first half of this
// interface; strategies, observers and detectors read the second.
//
// Lives at the start of a World's arena, so that a snapshot of the arena contains it. One World
// per OS thread, found through a thread-local pointer; not thread-safe.
#pragma once

#include <cstdint>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/arena.h"
#include "scheduler/check.h"
#include "scheduler/detect/data_race.h"
#include "scheduler/detect/detectors.h"
#include "scheduler/detect/lock_order.h"
#include "scheduler/finding.h"
#include "scheduler/image.h"
#include "scheduler/strategy.h"
#include "scheduler/task.h"
#include "scheduler/thread_state.h"

namespace interleaf {

class FiberPool;
class Scheduler;
class World;

// Watches a run event by event; only attached when somebody wants the whole trace.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void event(const Scheduler& scheduler, const Task& task, const Access& access) = 0;
  virtual void enter(const Scheduler& scheduler, const Task& task, const Function& function) = 0;
  virtual void leave(const Scheduler& scheduler, const Task& task, const Function& function) = 0;
  virtual void remark(const Scheduler& scheduler, const Task& task, std::string_view text) = 0;
  // A data choice of this kind got this value.
  virtual void choice(const Scheduler&, const Task&, const char*, unsigned) {}
};

// The tasks blocked at one condition: who announced an access that only some states allow.
struct Gate {
  TaskMask waiting = 0;
};

// Benchmarks compile the points out to see what they cost: then tasks switch where they block, and
// nowhere else.
#ifdef INTERLEAF_NO_POINTS
inline constexpr bool kNoPoints = true;
#else
inline constexpr bool kNoPoints = false;
#endif

// Why a run ended. Stopped: a task had a fatal finding, and the others ended or wait for it. Cut:
// only tasks that were left in a loop could go on (RunOptions::retries_max).
enum class RunEnd : std::uint8_t { kFinished, kStopped, kDeadlock, kLivelock, kCut, kPaused };

// While one lives, operator new uses the heap also inside a run: for what outlives the run.
class HeapScope {
 public:
  HeapScope() : saved_(std::exchange(t_state.allocate_from, nullptr)) {}
  ~HeapScope() { t_state.allocate_from = saved_; }
  HeapScope(const HeapScope&) = delete;
  HeapScope& operator=(const HeapScope&) = delete;

 private:
  Arena* saved_;
};

class Scheduler {
 public:
  using Where = std::source_location;

  // The scheduler of the run that this code is part of; null outside tasks (setup, reports).
  static Scheduler* current() { return t_state.running; }
  // The same, but also while a World is set up or inspected; null if there is none.
  static Scheduler* instance() { return t_state.instance; }

  // ---- for sync types: inside a task ----

  // Announces an access, lets the strategy choose, and returns when it is to be performed.
  void point(Op op, ObjectNumber& object, const void* address, bool marked, Where where,
             Order order = Order::kRelaxed) {
    if constexpr (kNoPoints) return;
    announce(op, object, address, marked, where, order);
    decide();
    perform();
    check_alive(object, address, where);
  }

  // The step under way does this besides what it announced, at no point of its own: nothing comes
  // between. For what local code does to state that steps of other tasks see; searches and
  // reductions take two steps for dependent if any two accesses of them are.
  void also(Op op, ObjectNumber& object, const void* address, Where where = Where::current()) {
    if (object.value - 1 >= kPoisoned - 1) [[unlikely]]
      number(object, address, where);
    if (sees_also_ && !epilogue_) [[unlikely]]
      tell_also(op, object.value);
  }
  // Memory is about to be freed or poisoned: the step under way destroys every object in it.
  void freed(const void* begin, std::size_t bytes) {
    if (sees_also_ && !epilogue_) [[unlikely]]
      tell_freed(begin, bytes);
  }
  // Arena::free() within a run: tells who watches first.
  Arena::FreeResult free(void* data) {
    if (sees_also_ && arena_->is_live_block(data)) freed(data, Arena::size_of(data));
    return arena_->free(data);
  }

  // The same for an access that only some states allow. `open`: it is allowed now. While it is
  // not, the task is blocked; open()/close() below change that. `waits_for` is for reports.
  void gated_point(Op op, ObjectNumber& object, const void* address, Gate& gate, bool open,
                   const char* waits_for, Where where, Order order = Order::kRelaxed);
  // The access just performed, of order kConditional, succeeded.
  void ordered() {
    if (races_ != nullptr) [[unlikely]]
      races_->ordered(current_);
  }
  // The current task has what its last access asked for, and comes after all who gave it up. Locks
  // with an owner say so by lock_taken().
  void acquired(const ObjectNumber& object) {
    if (races_ != nullptr) [[unlikely]]
      races_->lock_taken(current_, object.value, false);
  }
  // What the current task did so far comes before whoever waits for `object` goes on.
  void wakes(const ObjectNumber& object) {
    if (races_ != nullptr) [[unlikely]]
      races_->wakes(current_, object.value);
  }
  // Tasks in `tasks` (those of the gate) may now go on / may no longer.
  void open(Gate& gate, TaskMask tasks = ~TaskMask{0}) { runnable_ |= gate.waiting & tasks; }
  void close(Gate& gate, TaskMask tasks = ~TaskMask{0}) { runnable_ &= ~(gate.waiting & tasks); }

  // A task was woken: its schedule() may go on (wait queues).
  void set_woken(TaskId task) { tasks_[task]->woken = true; }

  // An injected value in [0, count) that the strategy picks; recorded like any choice.
  // Requires: 1 <= count <= 127.
  unsigned choose(const char* kind, unsigned count, Where where = Where::current());

  // The end of a turn of a polling loop that found nothing. The task goes on once another task
  // changed an object that this turn accessed, which may have happened already. What the first
  // turn accessed is not known: after it, the task goes on at once, and no step is made. If a turn
  // accessed nothing (it looks at what is not announced), any step of another task will do. Turns
  // are counted: see RunOptions::retries_max.
  void relax(Where where = Where::current());
  // Another loop begins within that of the current task, if it is in one; returns the turns of
  // that. end_loop() goes on counting from there. sync/retry_loop.h.
  std::uint32_t begin_loop() {
    return task_->polled == nullptr ? 0 : std::exchange(task_->polled->turns, 0);
  }
  void end_loop(std::uint32_t turns) {
    if (task_->polled != nullptr) task_->polled->turns = turns;
  }
  // The task goes on when no other can.
  void wait_for_quiet(Where where = Where::current());

  // Reports "sleeping while atomic" if the current task holds a spinlock or is an RCU reader.
  void might_sleep(Where where) {
    if (task_->atomic_depth != 0) [[unlikely]]
      report_sleep_in_atomic(where);
  }

  // Lock order: call before a blocking acquisition, after any acquisition, and at release.
  void lock_wanted(const void* lock, std::uint8_t lock_class, Where where) {
    Task& task = *task_;
    // A class out of range is poison: the lock was freed, which its point will report.
    if (lock_class < LockOrder::kClassesMax &&
        outside_->lock_order.is_new(task.held_classes, lock_class)) [[unlikely]] {
      new_lock_order(lock, lock_class, where);
    }
  }
  void lock_taken(const void* lock, std::uint8_t lock_class, bool shared, Where where);
  void lock_dropped(const void* lock, Where where);
  // The task has to do something before those who wait at `address` can go on: reports of hangs and
  // lock order take that for a lock which it holds, until lock_dropped(). lock_wanted() before a
  // wait for such a task. Orders no memory.
  void claim(const void* address, std::uint8_t lock_class, bool shared, Where where);
  // The index of a lock class in this World; assigned on first use.
  std::uint8_t lock_class_index(const LockClass& lock_class);
  // What reports call a class of HeldLock::class_index.
  const char* lock_class_name(std::uint8_t index) const { return outside_->lock_order.name(index); }

  // Records a finding with the current task's stack. If fatal, the task ends here with all that it
  // holds, as after an oops, and the call does not return; the others go on, so that what a run
  // finds does not depend on the order of what is independent. `object` is a stable role name.
  void report(FindingKind kind, std::string_view object, std::string_view message, bool fatal,
              std::vector<std::string> details = {});

  // A remark for the trace ("// ..." in tables); free when nobody watches.
  void remark(std::string_view text) {
    if (observer_ != nullptr) [[unlikely]]
      add_remark(text);
  }
  bool observed() const { return observer_ != nullptr; }

  // Mixes a value into the digest of the run: results of calls, contents read.
  void mix(std::uint64_t value) {
    digest_ = (digest_ ^ value) * 0x9e3779b97f4a7c15;
    digest_ ^= digest_ >> 32;
  }

  Task& current_task() { return *task_; }

  // A daemon that counts from now on: the run does not end before it does (Thread::start).
  void make_foreground(TaskId id) {
    if (!tasks_[id]->daemon) return;
    tasks_[id]->daemon = false;
    ++foreground_;
  }

  // ---- setup: before the first run ----

  // Adds a task; ids count up from 0. `body(argument)` runs on the task's fiber; both must stay
  // valid for the World's life (put the argument in the arena). A daemon may be left waiting at
  // the end of a run.
  TaskId spawn(std::string_view name, void (*body)(void*), void* argument, bool daemon = false);

  // ---- for strategies, observers and reports ----

  TaskId current_id() const { return current_; }
  unsigned task_count() const { return task_count_; }
  const Task& task(TaskId id) const { return *tasks_[id]; }
  TaskMask runnable() const { return runnable_; }
  std::uint64_t step() const { return steps_; }
  std::uint64_t switches() const { return switches_; }
  std::uint64_t preemptions() const { return preemptions_; }
  std::uint64_t digest() const { return digest_; }
  std::uint32_t objects() const { return objects_; }
  // Where the number of an object is kept, from the arena's base: the same in every run that came
  // to the object's memory alike, whatever number it got. Requires: the number is in use.
  std::uint64_t place_of(std::uint32_t object) const {
    return reinterpret_cast<std::uintptr_t>(outside_->places[object]) - arena_->base();
  }
  std::size_t choices() const { return choices_; }
  // Tasks that were left in a loop and could go on.
  TaskMask left() const;
  // Changes whenever the run has locks taken in an order that it did not have before.
  const void* last_lock_order() const { return outside_->lock_order.last(); }
  // Of the run so far, in order of occurrence.
  std::span<const Finding> findings() const { return {outside_->findings.data(), findings_}; }
  Arena& arena() const { return *arena_; }
  // A word for the program under test: its root object.
  void set_root(void* root) { root_ = root; }
  void* root() const { return root_; }
  // From now on the keep-running policy chooses and nothing is recorded: for checks at the end of
  // a run that use the code under test.
  void begin_epilogue() {
    epilogue_ = true;
    stay_ = &no_stay_;
  }
  bool in_epilogue() const { return epilogue_; }

 private:
  friend class World;
  friend class Frame;

  void announce(Op op, ObjectNumber& object, const void* address, bool marked, Where where,
                Order order = Order::kRelaxed) {
    if (object.value - 1 >= kPoisoned - 1) [[unlikely]]
      number(object, address, where);
    Access& next = task_->next;
    next.address = address;
    next.where = where;
    next.object = object.value;
    next.op = op;
    next.order = order;
    next.marked = marked;
    next.gated = false;
  }
  void number(ObjectNumber& object, const void* address, Where where);
  // Somebody else may have freed the object between announcement and access.
  void check_alive(ObjectNumber& object, const void* address, Where where) {
    if (object.value >= kPoisoned) [[unlikely]]
      number(object, address, where);
  }
  // Chooses and switches; returns when the caller's task is to go on.
  void decide();
  // One task alone can go on, or none.
  TaskId only_choice();
  [[noreturn]] void leave();
  // The strategy paused: waits in the main context until it answers.
  TaskId wait_for_answer(TaskMask runnable);
  // The strategy is asked again, whatever it said of choices to come.
  void end_stay() { stay_->among = ~TaskMask{0}; }  // no set of tasks
  // Who goes on in the main context, where a run begins: a task or kPause.
  TaskId first_choice();
  void set_current(TaskId id) {
    current_ = id;
    task_ = id == kNoTask ? nullptr : tasks_[id];
  }
  void perform() {
    Task& task = *task_;
    task.entered_count = 0;
    task.last_step = ++steps_;
    ++task.own_steps;
    const Function* function = task.function();
    mix(std::uint64_t{current_} |
        std::uint64_t{static_cast<std::uint8_t>(op_in_digest(task.next.op))} << 8 |
        std::uint64_t{task.next.object} << 16 |
        (function == nullptr ? 0 : std::uint64_t{function->hash} << 32));
    if (steps_ >= unusual_at_) [[unlikely]]
      perform_unusual(task);
  }
  // Who polls takes note of what it accessed; a change of that by somebody else lets it look again.
  void watch_polled(const Task& task);
  // An observer, a detector of data races, a polling task, or the step limit: what most steps need
  // not think of.
  void perform_unusual(Task& task);
  void refresh_unusual() {
    const bool watched = observer_ != nullptr || races_ != nullptr;
    unusual_at_ = watched || polling_ != 0 ? 0 : steps_max_;
  }
  void tell_also(Op op, std::uint32_t object);
  void tell_freed(const void* begin, std::size_t bytes);
  void add_finding(Finding finding);
  void find_races(const Task& task);
  void finish_task();
  [[noreturn]] void die();
  // No task is runnable: what the run has come to, reported if that is a hang.
  RunEnd judge_hang();
  std::string most_turns() const;
  [[noreturn]] void end_run(RunEnd end);
  void add_choice(std::uint8_t byte) {
    if (choices_ == choices_max_) [[unlikely]]
      grow_schedule();
    choice_bytes_[choices_++] = byte;
  }
  void grow_schedule();
  void attach_schedule() {
    choice_bytes_ = outside_->schedule.data();
    choices_max_ = outside_->schedule.size();
  }
  void add_remark(std::string_view text);
  void report_sleep_in_atomic(Where where);
  void new_lock_order(const void* lock, std::uint8_t lock_class, Where where);

  static void run_task(void* scheduler, unsigned worker);

  struct Body {
    void (*function)(void*) = nullptr;
    void* argument = nullptr;
  };
  // What lies outside the arena, so that a snapshot copies only what is in use of it.
  struct Outside {
    Body bodies[kTasksMax];  // fixed after setup
    TaskRoom rooms[kTasksMax];
    std::vector<ObjectNumber*> places;  // of objects, by number: objects_ of it are valid
    Schedule schedule;                  // choices_ of it are valid
    std::vector<Finding> findings;      // findings_ of it are valid
    LockOrder lock_order;
  };
  // The part of it that is in use, but for the schedule and the findings.
  void save_outside(Image& image) const;
  void restore_outside(ImageReader& image);

  // Hot first.
  Task* task_ = nullptr;  // the current one; null if there is none
  TaskMask runnable_ = 0;
  Strategy::Stay* stay_ = &no_stay_;  // the strategy's
  Strategy* strategy_ = nullptr;
  FiberPool* fibers_ = nullptr;
  std::uint64_t steps_ = 0;
  std::uint64_t digest_ = 0;
  std::uint64_t unusual_at_ = 0;
  std::uint8_t* choice_bytes_ = nullptr;  // the schedule's; set whenever a run goes on
  std::size_t choices_max_ = 0;
  std::size_t choices_ = 0;
  std::uint64_t switches_ = 0;
  std::uint64_t preemptions_ = 0;
  TaskId current_ = kNoTask;  // set_current() sets it
  bool priming_ = false;
  bool epilogue_ = false;
  bool sees_forced_ = false;
  bool sees_also_ = false;
  bool died_ = false;             // a task had a fatal finding: what it holds stays held
  bool stopped_at_boot_ = false;  // a task had a fatal finding before its first point
  RunEnd end_ = RunEnd::kFinished;
  void report_lock_order(const LockOrder::Path& path, const void* lock, std::uint8_t lock_class);
  std::uint8_t task_count_ = 0;
  std::uint8_t foreground_ = 0;  // unfinished tasks that are no daemons
  std::uint32_t objects_ = kPrivateObject;
  std::uint64_t steps_max_ = 0;
  TaskMask polling_ = 0;   // tasks that have been in a polling loop
  TaskMask relaxing_ = 0;  // those of them that wait for a change
  TaskMask quiet_ = 0;     // waits until nobody else can go on
  TaskMask left_ = 0;      // repeated a loop too often: never goes on
  std::uint32_t retries_max_ = 0;
  std::size_t findings_ = 0;
  Observer* observer_ = nullptr;
  DataRace* races_ = nullptr;  // outside the arena; null: not looked for
  Detectors detectors_;
  Outside* outside_ = nullptr;
  Arena* arena_ = nullptr;
  void* root_ = nullptr;
  Strategy::Stay no_stay_;
  Task* tasks_[kTasksMax] = {};
};

}  // namespace interleaf
