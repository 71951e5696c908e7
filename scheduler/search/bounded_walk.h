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

namespace interleaf {

// Branches are told into parts of a level by the hash of their prefix, so that the part does not
// depend on who came there first: 1/64, 3/64, 12/64 and 48/64 of them.
inline constexpr unsigned kLevelParts = 4;
unsigned level_part(const Hash128& key);

// In the last level a prefix whose task goes on leads to one other: there is nothing to claim. Of
// these, only those where the task has made a multiple of so many accesses are remembered, for runs
// that meet to be left soon: a look-up that misses the processor's cache costs several steps. Which
// those are follows from the prefix.
inline constexpr std::uint32_t kClaimSteps = 4;

class BoundedWalk final : public Strategy {
 public:
  // A choice of the run at hand, as its byte in the schedule.
  struct Choice {
    std::uint8_t taken = 0;
    std::uint8_t part = 0;  // of `later`
    TaskMask todo = 0;      // tasks or values that are yet to be tried here
    TaskMask later = 0;     // tasks that would be one preemption too many in this level
  };
  enum class Pause : std::uint8_t { kNone, kSeen, kSnapshot };
  // Where a run was paused for a snapshot.
  struct Mark {
    OrderHash order;
    PrefixKey key;
    std::size_t choices = 0;
    std::uint64_t step = 0;
  };

  // `check` may be null.
  BoundedWalk(const BoundedOptions& options, PrefixSet& seen, CacheCheck* check)
      : options_(options), seen_(seen), check_(check) {}

  // ---- for the search ----

  std::vector<Choice> path;
  bool keeps_later = false;  // there is a next level

  Pause pause() const { return pause_; }
  const OrderHash& order() const { return order_; }
  void save(const Scheduler& s, Mark& mark) const { mark = {order_, key_, s.choices(), s.step()}; }
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
  }

 private:
  static constexpr std::size_t kNever = ~std::size_t{0};

  // False if the prefix was seen before; then the run is to be left.
  bool append(const Scheduler& s, TaskMask runnable);
  // The preemption just made led to an await and a block, and to nothing else: see bounded.h.
  bool was_detour(TaskMask runnable);

  const BoundedOptions& options_;
  PrefixSet& seen_;
  CacheCheck* check_;
  OrderHash order_;
  PrefixKey key_;
  Pause pause_ = Pause::kNone;
  TaskId detour_ = kNoTask;  // who was preempted for, and made one await since
  std::uint64_t saved_step_ = 0;
  std::size_t saved_choice_ = kNever;
};

}  // namespace interleaf
