// SPDX-License-Identifier: GPL-2.0-only
// A completion: wait() goes on once complete() was called, once per call; complete_all() opens it
// for good. Completed by tasks only, not while the World is set up.
#pragma once

#include <source_location>

#include "scheduler/check.h"
#include "scheduler/scheduler.h"

namespace interleaf {

class Completion {
 public:
  using Where = std::source_location;

  // `name` is for reports; static storage duration.
  explicit constexpr Completion(const char* name) : name_(name) {}

  void wait(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->might_sleep(where);
    s->gated_point(Op::kWait, number_, this, gate_, done_ != 0, name_, where, Order::kFull);
    if (done_ != kForGood && --done_ == 0) s->close(gate_);
  }
  // The same for one that is completed once, by complete_all(). Who waits leaves it as it is, so
  // these waits depend on that call alone; and once it was made, on nothing that may still come.
  void wait_for_good(Where where = Where::current()) {
    Scheduler* s = Scheduler::current();
    if (s == nullptr) return;
    s->might_sleep(where);
    s->gated_point(Op::kAwait, number_, this, gate_, done_ != 0, name_, where, Order::kFull);
    CHECK(done_ == kForGood);
  }
  void complete(Where where = Where::current()) { finish(false, where); }
  void complete_all(Where where = Where::current()) { finish(true, where); }
  bool is_done(Where where = Where::current()) const {
    if (Scheduler* s = Scheduler::current()) s->point(Op::kRead, number_, this, true, where);
    return done_ != 0;
  }

  bool peek_done() const { return done_ != 0; }

 private:
  static constexpr std::uint32_t kForGood = ~std::uint32_t{0};

  void finish(bool for_good, Where where) {
    Scheduler* s = Scheduler::current();
    CHECK(s != nullptr);  // the searches take the first wake that they see for the first there was
    s->point(Op::kWake, number_, this, true, where, Order::kFull);
    if (done_ != kForGood) done_ = for_good ? kForGood : done_ + 1;
    s->open(gate_);
  }

  const char* name_;
  mutable ObjectNumber number_;
  std::uint32_t done_ = 0;
  Gate gate_;
};

}  // namespace interleaf
