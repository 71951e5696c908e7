// SPDX-License-Identifier: GPL-2.0-only
// What the runs of a campaign have reached. Two measures:
//   - handoffs: one task accesses an object, then another one does, and the two accesses do not
//     commute. A handoff is (kind of object, function and operation of the first, function and
//     operation of the second): a set that fills up, as edges of code do.
//   - orders: runs of the same partial order of dependent events (OrderHash) are one class; the
//     classes seen once and twice say how much is unseen.
//
// Fed event by event; watch() does that for any strategy and costs nothing where it is not used.
// One World per Coverage; not thread-safe. Handoffs of several Worlds of one program are the same
// numbers, so sets can be united.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/search/object_kinds.h"
#include "scheduler/search/order_hash.h"
#include "scheduler/strategy.h"

namespace interleaf {

// What one run added.
struct RunCoverage {
  std::uint32_t new_handoffs = 0;
  Hash128 order;
  bool new_class = false;
};

class Coverage {
 public:
  // Without `counts_orders`, runs are hashed and no classes are kept: memory then is bounded by the
  // number of handoffs.
  explicit Coverage(bool counts_orders = true) : counts_orders_(counts_orders) {}

  void begin_run();
  // `task` performs `access` next. May be called inside a run.
  void event(const Scheduler& scheduler, TaskId task, const Access& access);
  // What the step of `task` does besides.
  void also(TaskId task, Op op, std::uint32_t object);
  // The data choice that `task` has just performed came out as `value`.
  void value(TaskId task, unsigned value) { order_.value(task, value); }
  // The run has ended. Only then does what it reached count.
  RunCoverage end_run();

  std::uint64_t runs() const { return runs_; }
  std::uint64_t handoffs() const { return handoff_runs_.size(); }
  // Handoffs first seen in the last `runs` runs.
  std::uint64_t handoffs_since(std::uint64_t runs) const;
  // Those that the last run was the first to have. Valid until the next run begins.
  std::span<const std::uint64_t> new_handoffs() const {
    return {fresh_handoffs_.data(), fresh_handoffs_.size()};
  }
  // Their numbers, sorted.
  std::vector<std::uint64_t> handoff_set() const;

  std::uint64_t classes() const { return classes_; }
  std::uint64_t classes_seen_once() const { return once_; }
  std::uint64_t classes_seen_twice() const { return twice_; }
  // Classes first seen in the last `runs` runs.
  std::uint64_t classes_since(std::uint64_t runs) const;

 private:
  // Half of a handoff.
  struct Side {
    TaskId task = kNoTask;
    Op op = Op::kBegin;
    std::uint32_t function = 0;
  };
  struct Object {
    std::uint64_t run = 0;   // what follows is of this run
    std::uint64_t kind = 0;  // 0: not looked up yet
    Side last;
    Side last_exclusive;
  };
  struct Class {
    Hash128 order;
    std::uint64_t count = 0;  // 0: a free place
  };

  Object& object(std::uint32_t number);
  bool insert_handoff(std::uint64_t handoff);
  std::uint64_t count_class(const Hash128& order);

  const bool counts_orders_;
  ObjectKinds kinds_;
  OrderHash order_;
  std::vector<Object> objects_;  // by number
  std::uint64_t runs_ = 0;
  std::vector<std::uint64_t> fresh_handoffs_;
  std::vector<std::uint64_t> handoff_table_;  // open addressing; 0 is a free place
  std::vector<std::uint64_t> handoff_runs_;   // the run that each was first seen in, ascending
  std::vector<Class> class_table_;            // open addressing
  std::vector<std::uint64_t> class_runs_;     // as handoff_runs_
  std::uint64_t classes_ = 0;
  std::uint64_t once_ = 0;
  std::uint64_t twice_ = 0;
};

// `inner`, with every event of its runs told to `coverage`. The caller calls end_run() after each
// run. Both must outlive it.
std::unique_ptr<Strategy> watch(Strategy& inner, Coverage& coverage);

}  // namespace interleaf
