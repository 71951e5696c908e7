// SPDX-License-Identifier: GPL-2.0-only
// The strategy of the bounded search: follows a path, then goes on without preemption and appends
// to the path what it chose and what else there was to choose. Ends the run (kPause) where the
// prefix was seen before, and pauses it where the search may want a snapshot. Internal to
// bounded.h. Belongs to one World.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/scheduler.h"
#include "scheduler/search/bounded.h"
#include "scheduler/search/cache_check.h"
#include "scheduler/search/prefix_key.h"
#include "scheduler/search/prefix_set.h"
#include "scheduler/search/segment.h"

namespace interleaf {

// Branches are told into parts of a level by the hash of their prefix, so that the part does not
// depend on who came there first: 1/64, 3/64, 12/64 and 48/64 of them.
inline constexpr unsigned kLevelParts = 4;
unsigned level_part(const Hash128& key);

// In the last level a prefix whose task goes on leads to one other: there is nothing to claim. Of
// these, only those where the task has made a multiple of so many accesses are remembered, for runs
// that meet to be left soon: a look-up that misses the processor's cache costs several steps. Which
// those are follows from the prefix.
inline constexpr std::uint32_t kClaimSteps = 12;

class BoundedWalk final : public Strategy {
 public:
  static constexpr std::size_t kNever = ~std::size_t{0};

  // A choice of the run at hand, as its byte in the schedule.
  struct Choice {
    std::uint8_t taken = 0;
    std::uint8_t part = 0;  // of `later`
    TaskMask todo = 0;      // tasks or values that are yet to be tried here
    TaskMask later = 0;     // tasks that would be one preemption too many in this level
    bool base = false;      // the search was given this one to try
    bool sleeps = false;    // `taken` preempts a task that sleeps from here on
    // Of the task that ran: its next step does nothing but the access that it announced, and then
    // others can go on as well. False: or that step was not seen.
    bool alone = false;
    // That step, if the task went on in a run along this path; else kNoTask.
    TaskId runs_on = kNoTask;
    Op op = Op::kBegin;
    std::uint32_t object = 0;
  };
  enum class Pause : std::uint8_t { kNone, kSeen, kDetour, kSnapshot };
  // Where a run was paused for a snapshot.
  struct Mark {
    OrderHash order;
    PrefixKey key;
    TaskMask sleeping = 0;
    std::size_t choices = 0;
    std::uint64_t step = 0;
  };

  // `check` may be null.
  BoundedWalk(const BoundedOptions& options, PrefixSet& seen, CacheCheck* check)
      : options_(options), seen_(seen), check_(check) {}

  // ---- for the search ----

  std::vector<Choice> path;
  bool keeps_later = false;          // there is a next level
  std::size_t snapshot_at = kNever;  // a choice where the search wants one in any case
  Segment segment;                   // that began at the choice of watch()
  // The next run is to watch the segment that begins with the preemption at this choice.
  void watch(std::size_t choice) {
    watched_ = choice;
    segment.give_up();
  }

  Pause pause() const { return pause_; }
  const OrderHash& order() const { return order_; }
  void save(const Scheduler& s, Mark& mark) const {
    mark = {order_, key_, sleeping_, s.choices(), s.step()};
  }
  // The World is still at `mark`, or `rewound` to it.
  void go_on_from(const Mark& mark, bool rewound);

  // ---- for the scheduler ----

  void begin(std::uint64_t) override;
  TaskId pick(const Scheduler& s, TaskMask runnable) override;
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override;
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override;
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    const HeapScope heap;
    order_.event(s.current_id(), op, object);
    detour_ = kNoTask;
    wake(s, op, object);
    segment.access(s.current_id(), op, object);
    also_ = true;
  }

 private:
  // A step begins, of `task`. `went_on`: at this choice, as the task that ran; else kNever.
  void step_begins(const Scheduler& s, TaskId task, std::size_t went_on);
  // The step under way has ended, and another one has not begun.
  void step_ended(const Scheduler& s);
  // Who sleeps and depends on this does not any more.
  void wake(const Scheduler& s, Op op, std::uint32_t object);
  // Of the run at hand: PrefixKey and who sleeps.
  Hash128 key_at(const Scheduler& s, TaskMask runnable);
  // Who goes on first at a free switch.
  TaskId first_of(const Scheduler& s, TaskMask awake) const;
  // False if the prefix was seen before; then the run is to be left.
  bool append(const Scheduler& s, TaskMask runnable);
  // The preemption just made led to an await and a block, and to nothing else: see bounded.h.
  bool was_detour(TaskMask runnable);

  const BoundedOptions& options_;
  const bool reduces_ = options_.filter == nullptr && !options_.verify_cache;
  PrefixSet& seen_;
  CacheCheck* check_;
  OrderHash order_;
  PrefixKey key_;
  Pause pause_ = Pause::kNone;
  TaskId detour_ = kNoTask;     // who was preempted for, and made one await since
  std::size_t await_ = kNever;  // the choice of who made one await since, at a free switch
  TaskMask sleeping_ = 0;       // see bounded.h
  bool doomed_ = false;         // one of them had to go on: nothing new comes of this run
  std::size_t watched_ = kNever;
  std::size_t went_on_ = kNever;      // the last choice, if the task that ran went on there
  std::size_t step_choice_ = kNever;  // the same, while its step is under way
  // Of the step under way: it did more than it announced; and what there was before it.
  bool also_ = false;
  std::size_t findings_ = 0;
  const void* lock_order_ = nullptr;
  std::uint64_t saved_step_ = 0;
  std::size_t saved_choice_ = kNever;
};

}  // namespace interleaf
