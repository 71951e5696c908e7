// SPDX-License-Identifier: GPL-2.0-only
// The strategy of the DPOR search: follows a path of choices, then goes on where nothing is covered
// yet, and adds to the nodes of the path what the races of the new steps ask for. Internal to
// dpor.h. Belongs to one World.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "scheduler/scheduler.h"
#include "scheduler/search/dpor.h"
#include "scheduler/search/dpor_node.h"
#include "scheduler/search/happens_before.h"
#include "scheduler/search/order_hash.h"
#include "scheduler/search/races.h"

namespace interleaf {

// Who used which object in the runs so far, as far as a table of fixed size remembers.
class ObjectUsers {
 public:
  bool contended(const Access& access) const {
    if (access.object == kPrivateObject) return false;
    const Entry& entry = entries_[place(access)];
    return entry.address == access.address && (entry.tasks & (entry.tasks - 1)) != 0;
  }
  void add(TaskId task, const Access& access) {
    if (access.object == kPrivateObject) return;
    Entry& entry = entries_[place(access)];
    if (entry.address == access.address) [[likely]] {
      entry.tasks |= task_bit(task);
    } else {
      entry = {access.address, task_bit(task)};
    }
  }

 private:
  struct Entry {
    const void* address = nullptr;
    TaskMask tasks = 0;
  };
  static std::size_t place(const Access& access) {
    return reinterpret_cast<std::uintptr_t>(access.address) / 4 % kEntries;
  }
  static constexpr std::size_t kEntries = 4096;
  std::vector<Entry> entries_{kEntries};
};

class DporWalk final : public Strategy {
 public:
  enum class Pause : std::uint8_t {
    kNone,
    kRedundant,  // all that could go on was covered already
    kSnapshot,
    kCut,  // DporFault::kCutAtFinding
  };
  // Where a run was paused for a snapshot.
  struct Mark {
    std::size_t choices = 0;
    EventNumber events = 0;
    std::uint64_t step = 0;
  };

  // `tree`: for nodes that several workers have.
  DporWalk(const DporOptions& options, std::mutex& tree) : options_(options), tree_(tree) {}

  // ---- for the search ----

  unsigned snapshot_steps = 1;
  std::uint64_t events = 0;
  std::uint64_t replayed = 0;
  std::uint64_t fallbacks = 0;

  const DporPath& path() const { return path_; }
  Pause pause() const { return pause_; }
  // Goes on from a path of another worker or another process: its last choice is what is to be
  // done, or was done and back_to_open_choice() follows.
  void adopt(DporPath path);
  // Takes the path back to the deepest choice with something left to try, and chooses that. False
  // if there is none, or if it has to wait for another worker that `gives_up` says will not come.
  bool back_to_open_choice(const std::function<bool()>& gives_up);
  // The shallowest choice of the path with something left, as a path for another worker; empty if
  // there is none. All of it is shared from now on.
  DporPath give_away();

  void save(const Scheduler& s, Mark& mark) const { mark = {s.choices(), at_, s.step()}; }
  // The World was restored to `mark`, or is still there.
  void go_on_from(const Mark& mark);
  // The run is over: races of what will not be performed any more.
  void end(const Scheduler& s, bool cut);
  // Of the run at hand, as OrderHash defines it.
  Hash128 order() const;

  // ---- for the scheduler ----

  void begin(std::uint64_t) override;
  TaskId pick(const Scheduler& s, TaskMask runnable) override;
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override;
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override;
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override;

 private:
  static constexpr std::size_t kNever = ~std::size_t{0};
  static constexpr std::uint32_t kForced = kNoChoice;

  // Holds the lock of the tree if the node is one of several workers.
  std::unique_lock<std::mutex> locked(const DporNode& node) const {
    return node.shared ? std::unique_lock(tree_) : std::unique_lock<std::mutex>();
  }
  // A step of the known prefix, which the log has or lost. False: there is something new to do.
  bool repeat(const Scheduler& s, TaskId task, bool known, std::uint32_t place) {
    if (at_ == log_.size() && !(known | fresh_)) [[likely]]
      return false;
    return repeat_known(s, task, known, place);
  }
  bool repeat_known(const Scheduler& s, TaskId task, bool known, std::uint32_t place);
  DporNode& append(TaskMask enabled, std::uint8_t taken, bool data);
  void fall_asleep(const DporStep& step);
  TaskId preferred(const Scheduler& s, TaskMask candidates) const;
  // `task` is about to perform what it announced, chosen at path_[place], or forced. What else the
  // step does is not known yet.
  [[gnu::always_inline]] void perform(const Scheduler& s, TaskId task, std::uint32_t place) {
    const Access& access = s.task(task).next;
    log_.add(task, access, place);
    users_.add(task, access);
    open_step_ = at_++;
    if (place != kForced) open_mark_ = s.arena().used();
    ++events;
  }
  // All that the last step did is known: what comes of that before the next one.
  [[gnu::always_inline]] void settle(const Scheduler& s) {
    if (open_step_ != kNoEvent) {
      const LoggedEvent& step = log_[open_step_];
      const bool quiet = !step.joins && step.choice == kForced && sleep_ == 0 && besides_.empty();
      if (!quiet) complete_step(s);
      open_step_ = kNoEvent;
    }
    const TaskMask blocked = ~(s.runnable() | finished_);
    if (blocked != 0) look_at_blocked(s, blocked);
  }
  // A blocked task may never perform what it announced; its races count all the same. Looked at
  // after the step that it announced it in or that touched its object.
  [[gnu::always_inline]] void look_at_blocked(const Scheduler& s, TaskMask tasks) {
    if (at_ == 0 || has(DporFault::kPerformedOnly)) return;
    const TaskId ran = log_[at_ - 1].task;
    for (TaskMask rest = tasks; rest != 0; rest &= rest - 1) {
      const auto id = static_cast<TaskId>(std::countr_zero(rest));
      const Task& task = s.task(id);
      if (task.finished) {
        finished_ |= task_bit(id);
        continue;
      }
      if (id == ran || touched_by_last_step(task.next.object)) look_at_blocked(id, task.next);
    }
  }
  bool touched_by_last_step(std::uint32_t object) const {
    const LoggedEvent* event = &log_[at_ - 1];
    const LoggedEvent* const first = &log_[event->step];
    for (; event->object != object; --event) {
      if (event == first) return false;
    }
    return true;
  }
  void complete_step(const Scheduler& s);
  void reverse_races(EventNumber first);
  void wake(const Scheduler& s, EventNumber first);
  void wake(const Scheduler& s, Op op, std::uint32_t object);
  void note_besides(const Scheduler& s, EventNumber first);
  void look_at_blocked(TaskId id, const Access& access);
  bool nothing_left(EventNumber i);
  void reverse(EventNumber i, EventNumber first);
  void reverse(EventNumber i, EventNumber end, const RacingAccess& later, bool free);
  TaskMask initials(EventNumber i, EventNumber end, TaskMask& moved) const;
  bool begins_after(EventNumber i, EventNumber k) const;
  bool follows_nothing_since(EventNumber i, const RacingAccess& later, EventNumber last) const;
  static bool was_shut(const DporNode& node, const RacingAccess& later, TaskMask moved);
  bool opens(EventNumber i, const RacingAccess& later) const;
  bool can_be_reversed(EventNumber i, const RacingAccess& later, const DporNode& node,
                       TaskMask moved) const;
  // A defect on purpose is switched on.
  bool has(DporFault fault) const { return options_.fault == fault; }

  const DporOptions& options_;
  std::mutex& tree_;
  DporPath path_;
  std::vector<std::shared_ptr<DporNode>> spare_;  // nodes that nobody has
  HappensBefore log_;  // the choice of an event is its place in the path, or kForced
  ObjectUsers users_;
  EventNumber at_ = 0;                // events performed in the run at hand
  std::uint64_t open_mark_ = 0;       // memory from here on was made by it, if it was chosen
  TaskMask finished_ = 0;             // tasks known to have finished in the run at hand, and who
  TaskMask absent_ = 0;               // is none
  EventNumber open_step_ = kNoEvent;  // the step that is under way began with it
  TaskMask sleep_ = 0;
  std::vector<Besides> besides_;  // of those who sleep
  Pause pause_ = Pause::kNone;
  std::uint64_t saved_step_ = 0;
  std::size_t saved_choice_ = kNever;
  bool fresh_ = true;
};

}  // namespace interleaf
