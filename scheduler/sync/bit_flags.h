// SPDX-License-Identifier: GPL-2.0-only
// A word of flag bits that are set, cleared and tested atomically and on their own: a point per
// operation, and every bit an object of its own, since operations on different bits commute.
// A task can wait for a bit to be clear. As in Linux, only the operations that return the old value
// order memory; clear_release() is clear_bit_unlock().
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <source_location>

#include "scheduler/scheduler.h"

namespace interleaf {

template <unsigned kBits>
class BitFlags {
  static_assert(kBits <= 32);

 public:
  using Where = std::source_location;

  bool test(unsigned bit, Where where = Where::current()) const {
    at(Op::kRead, bit, where);
    return peek(bit);
  }
  void set(unsigned bit, Where where = Where::current()) {
    at(Op::kWrite, bit, where, Order::kUpdate);
    assign(bit, true);
  }
  void clear(unsigned bit, Where where = Where::current()) {
    at(Op::kWrite, bit, where, Order::kUpdate);
    assign(bit, false);
  }
  void clear_release(unsigned bit, Where where = Where::current()) {
    at(Op::kWrite, bit, where, Order::kRelease);
    assign(bit, false);
  }
  // Both return the old value.
  bool test_and_set(unsigned bit, Where where = Where::current()) {
    at(Op::kReadModifyWrite, bit, where, Order::kFull);
    const bool old = peek(bit);
    assign(bit, true);
    return old;
  }
  bool test_and_clear(unsigned bit, Where where = Where::current()) {
    at(Op::kReadModifyWrite, bit, where, Order::kFull);
    const bool old = peek(bit);
    assign(bit, false);
    return old;
  }
  // Sleeps until the bit is clear. It may be set again by the time the caller looks.
  // `waits_for` is for reports; static storage duration.
  void wait_clear(unsigned bit, const char* waits_for, Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->might_sleep(where);
    s->current_task().await_detail = bit;
    s->gated_point(Op::kWait, numbers_[bit], &numbers_[bit], gate_, !peek(bit), waits_for, where,
                   Order::kAcquire);
  }

  // Part of the step under way, with no point of its own: for assertions and for what the kernel
  // reads together with something else.
  bool look(unsigned bit, Where where = Where::current()) const {
    if (Scheduler* s = Scheduler::current()) {
      s->also(Op::kRead, numbers_[bit], &numbers_[bit], where);
    }
    return peek(bit);
  }
  // Where wait_clear() waits: for claims (Scheduler::claim) of who is to clear the bit.
  const void* waits_at(unsigned bit) const { return &numbers_[bit]; }
  // Where the object of a bit lies in this one, for tables of fields.
  static constexpr std::size_t object_offset(unsigned bit) {
    return offsetof(BitFlags, numbers_) + bit * sizeof(ObjectNumber);
  }
  bool peek(unsigned bit) const { return (word_ >> bit & 1) != 0; }
  std::uint32_t peek_all() const { return word_; }
  void poke(unsigned bit, bool value) {
    word_ = (word_ & ~(1u << bit)) | static_cast<std::uint32_t>(value) << bit;
  }

 private:
  void at(Op op, unsigned bit, Where where, Order order = Order::kRelaxed) const {
    if (Scheduler* s = Scheduler::current()) {
      s->point(op, numbers_[bit], &numbers_[bit], true, where, order);
    }
  }
  void assign(unsigned bit, bool value) {
    poke(bit, value);
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    if (!value) s->wakes(numbers_[bit]);
    if (gate_.waiting == 0) return;
    TaskMask concerned = 0;
    for (TaskMask rest = gate_.waiting; rest != 0; rest &= rest - 1) {
      const auto id = static_cast<TaskId>(std::countr_zero(rest));
      if (s->task(id).await_detail == bit) concerned |= task_bit(id);
    }
    if (value) {
      s->close(gate_, concerned);
    } else {
      s->open(gate_, concerned);
    }
  }

  std::uint32_t word_ = 0;
  Gate gate_;
  mutable ObjectNumber numbers_[kBits];
};

}  // namespace interleaf
