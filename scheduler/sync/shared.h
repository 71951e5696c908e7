// SPDX-License-Identifier: GPL-2.0-only
// A field that several tasks touch: one point per load, one per store. Plain C accesses
// (load, store) and marked ones (READ_ONCE, WRITE_ONCE, acquire, release) are told apart, as KCSAN
// does; both are single, untorn accesses here (sequential consistency).
#pragma once

#include <source_location>
#include <type_traits>

#include "scheduler/scheduler.h"

namespace interleaf {

template <typename T>
class Shared {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  using Where = std::source_location;

  Shared() = default;
  constexpr explicit Shared(T value) : value_(value) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  T load(Where where = Where::current()) const { return read(false, where); }
  void store(T value, Where where = Where::current()) { write(value, false, where); }

  // A pointer read this way heads address dependencies, as rcu_dereference() does.
  T read_once(Where where = Where::current()) const {
    return read(true, where, std::is_pointer_v<T> ? Order::kAcquire : Order::kRelaxed);
  }
  void write_once(T value, Where where = Where::current()) { write(value, true, where); }
  T load_acquire(Where where = Where::current()) const {
    return read(true, where, Order::kAcquire);
  }
  void store_release(T value, Where where = Where::current()) {
    write(value, true, where, Order::kRelease);
  }

  // Plain accesses that may race, as within the kernel's data_race().
  T load_racy(Where where = Where::current()) const { return read(false, where, Order::kExempt); }
  void store_racy(T value, Where where = Where::current()) {
    write(value, false, where, Order::kExempt);
  }

  // Part of the step under way, with no point of its own: for assertions and for what the kernel
  // reads together with something else.
  T look(Where where = Where::current()) const {
    if (Scheduler* s = Scheduler::current()) s->also(Op::kRead, number_, this, where);
    return value_;
  }
  // No point: for setup, reports, the oracle, and assertions that are not part of the program.
  T peek() const { return value_; }
  void poke(T value) { value_ = value; }

 private:
  T read(bool marked, Where where, Order order = Order::kRelaxed) const {
    if (Scheduler* s = Scheduler::current()) {
      s->point(Op::kRead, number_, this, marked, where, order);
    }
    return value_;
  }
  void write(T value, bool marked, Where where, Order order = Order::kRelaxed) {
    if (Scheduler* s = Scheduler::current()) {
      s->point(Op::kWrite, number_, this, marked, where, order);
    }
    value_ = value;
  }

  T value_{};
  mutable ObjectNumber number_;
};

// The kernel's spelling.
template <typename T>
T READ_ONCE(const Shared<T>& field, std::source_location where = std::source_location::current()) {
  return field.read_once(where);
}
template <typename T>
void WRITE_ONCE(Shared<T>& field, std::type_identity_t<T> value,
                std::source_location where = std::source_location::current()) {
  field.write_once(value, where);
}

}  // namespace interleaf
