// SPDX-License-Identifier: GPL-2.0-only
// What a prefix of a run is, for a cache of prefixes: two prefixes with the same key go on alike.
// The order of the events would do if tasks shared nothing that they do not announce. To be on the
// safe side the key also holds which task may go on, what every task announced, to an object with
// which past, and the findings so far in their order: prefixes that differ visibly are different
// prefixes, whatever the reason. In terms that are the same in every World: no address, no number
// of an object.
//
// What a task announced stays as it is until the task performs it, so that is hashed once.
#pragma once

#include <cstdint>

#include "scheduler/scheduler.h"
#include "scheduler/search/order_hash.h"

namespace interleaf {

class PrefixKey {
 public:
  // The run was begun anew, or rewound to where there is no copy of this from. Must come before
  // the next of().
  void forget();
  // Of the run before a choice among `runnable`; `order` has its events.
  Hash128 of(const Scheduler& s, const OrderHash& order, TaskMask runnable);
  // What all tasks are about to do: a part of of().
  std::uint64_t announced(const Scheduler& s, const OrderHash& order, TaskMask runnable);

 private:
  static constexpr std::uint32_t kUnknown = ~std::uint32_t{0};
  struct Own {
    std::uint32_t own_steps = kUnknown;  // of the task, when it announced this
    std::uint32_t object = 0;
    std::uint64_t hash = 0;
  };
  static Own of_task(const Task& task);

  Own tasks_[kTasksMax];
  std::size_t findings_ = 0;
  Hash128 of_findings_;
};

}  // namespace interleaf
