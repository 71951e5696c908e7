// SPDX-License-Identifier: GPL-2.0-only
// A marked variable that tasks can wait for, as smp_cond_load_acquire() does
// (include/asm-generic/barrier.h): whoever waits is not runnable until the value satisfies its
// condition, and then loads it in one point, a read that acquires. A loop with relax() that two
// tasks are in at once has endless runs; this has none, so that all runs can be searched.
#pragma once

#include <bit>
#include <source_location>
#include <type_traits>

#include "scheduler/scheduler.h"

namespace interleaf {

template <typename T>
class Awaitable {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  using Where = std::source_location;

  // `name` is for reports; static storage duration.
  constexpr explicit Awaitable(const char* name, T value = {}) : name_(name), value_(value) {}
  Awaitable(const Awaitable&) = delete;
  Awaitable& operator=(const Awaitable&) = delete;

  T read(Where where = Where::current()) const {
    at(Op::kRead, where);
    return value_;
  }
  void set(T value, Where where = Where::current()) {
    at(Op::kWrite, where);
    assign(value);
  }
  void set_release(T value, Where where = Where::current()) {
    at(Op::kWrite, where, Order::kRelease);
    assign(value);
  }
  // Blocks until `condition(value)` holds, and returns the value. `condition` looks at nothing that
  // changes but its argument. Spins in Linux: legal where one must not sleep.
  template <typename Condition>
  T cond_load(Condition condition, Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return value_;
    waiting_[s->current_id()] = {
        [](const void* p, const T& value) { return (*static_cast<const Condition*>(p))(value); },
        &condition};
    s->gated_point(Op::kRead, number_, this, gate_, condition(value_), name_, where,
                   Order::kAcquire);
    return value_;
  }

  T peek() const { return value_; }

 private:
  struct Waiting {
    bool (*holds)(const void* condition, const T& value) = nullptr;
    const void* condition = nullptr;  // on the stack of the task that waits
  };

  void at(Op op, Where where, Order order = Order::kRelaxed) const {
    if (Scheduler* s = Scheduler::current()) s->point(op, number_, this, true, where, order);
  }
  void assign(T value) {
    value_ = value;
    Scheduler* s = Scheduler::current();
    if (s == nullptr || gate_.waiting == 0) return;
    TaskMask satisfied = 0;
    for (TaskMask rest = gate_.waiting; rest != 0; rest &= rest - 1) {
      const auto id = static_cast<TaskId>(std::countr_zero(rest));
      if (waiting_[id].holds(waiting_[id].condition, value_)) satisfied |= task_bit(id);
    }
    s->open(gate_, satisfied);
    s->close(gate_, ~satisfied);
  }

  const char* name_;
  T value_;
  mutable ObjectNumber number_;
  Gate gate_;
  Waiting waiting_[kTasksMax];  // of the tasks of the gate
};

}  // namespace interleaf
