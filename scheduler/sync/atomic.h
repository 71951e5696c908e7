// SPDX-License-Identifier: GPL-2.0-only
// Atomic variables: one point per operation. Names and memory order of Linux
// Documentation/atomic_t.txt: what returns a value is fully ordered, a conditional operation only
// if it happens, the rest is relaxed.
#pragma once

#include <source_location>
#include <type_traits>

#include "scheduler/scheduler.h"

namespace interleaf {

template <typename T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  using Where = std::source_location;

  Atomic() = default;
  constexpr explicit Atomic(T value) : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T read(Where where = Where::current()) const {
    at(Op::kRead, where);
    return value_;
  }
  void set(T value, Where where = Where::current()) {
    at(Op::kWrite, where);
    value_ = value;
  }
  void set_release(T value, Where where = Where::current()) {
    at(Op::kWrite, where, Order::kRelease);
    value_ = value;
  }
  T xchg(T value, Where where = Where::current()) {
    at(Op::kReadModifyWrite, where, Order::kFull);
    const T old = value_;
    value_ = value;
    return old;
  }
  // Returns the old value; the exchange happened iff that equals `expected`.
  T cmpxchg(T expected, T value, Where where = Where::current()) {
    at(Op::kReadModifyWrite, where, Order::kConditional);
    const T old = value_;
    if (old == expected) become(value);
    return old;
  }
  // Returns the new value.
  T add_return(T delta, Where where = Where::current()) {
    at(Op::kReadModifyWrite, where, Order::kFull);
    return value_ = static_cast<T>(value_ + delta);
  }
  T add_return_relaxed(T delta, Where where = Where::current()) {
    at(Op::kReadModifyWrite, where);
    return value_ = static_cast<T>(value_ + delta);
  }
  void add(T delta, Where where = Where::current()) { add_return_relaxed(delta, where); }
  void inc(Where where = Where::current()) { add(1, where); }
  void dec(Where where = Where::current()) { add(static_cast<T>(-1), where); }
  bool dec_and_test(Where where = Where::current()) {
    return add_return(static_cast<T>(-1), where) == 0;
  }
  // Adds `delta` unless the value is `unless`; true if added.
  bool add_unless(T delta, T unless, Where where = Where::current()) {
    at(Op::kReadModifyWrite, where, Order::kConditional);
    if (value_ == unless) return false;
    become(static_cast<T>(value_ + delta));
    return true;
  }
  bool inc_not_zero(Where where = Where::current()) { return add_unless(1, 0, where); }
  bool inc_unless_negative(Where where = Where::current()) {
    at(Op::kReadModifyWrite, where, Order::kConditional);
    if (value_ < 0) return false;
    become(static_cast<T>(value_ + 1));
    return true;
  }
  bool dec_unless_positive(Where where = Where::current()) {
    at(Op::kReadModifyWrite, where, Order::kConditional);
    if (value_ > 0) return false;
    become(static_cast<T>(value_ - 1));
    return true;
  }

  // Part of the step under way, with no point of its own: for assertions and for what the kernel
  // reads together with something else.
  T look(Where where = Where::current()) const {
    if (Scheduler* s = Scheduler::current()) s->also(Op::kRead, number_, this, where);
    return value_;
  }
  T peek() const { return value_; }
  void poke(T value) { value_ = value; }

 private:
  void at(Op op, Where where, Order order = Order::kRelaxed) const {
    if (Scheduler* s = Scheduler::current()) s->point(op, number_, this, true, where, order);
  }
  void become(T value) {  // a conditional operation happens
    value_ = value;
    if (Scheduler* s = Scheduler::current()) s->ordered();
  }

  T value_{};
  mutable ObjectNumber number_;
};

using atomic_t = Atomic<int>;
using atomic_long_t = Atomic<long>;

}  // namespace interleaf
