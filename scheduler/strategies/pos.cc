// SPDX-License-Identifier: GPL-2.0-only
// POS: Yuan, Yang, Gu: "Partial order aware concurrency sampling", CAV 2018. Every announced access
// has a random priority, the highest goes on; accesses that are dependent on the one performed draw
// anew. The fresh draw for all that raced is what makes it less biased than a random walk.
//
// Deviations: priorities are 64-bit integers. Steps that one task alone can make also let blocked
// tasks that raced with them draw anew.
#include "scheduler/prng.h"
#include "scheduler/strategies/pos_priorities.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Pos final : public Strategy {
 public:
  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    priorities_.clear();
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    priorities_.deal(runnable, [&] { return prng_.next(); });
    const TaskId best = priorities_.highest(runnable);
    priorities_.goes_on(scheduler, best);
    return best;
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override {
    priorities_.goes_on(scheduler, only);
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  Prng prng_{0};
  PosPriorities priorities_;
};

}  // namespace

std::unique_ptr<Strategy> make_pos() { return std::make_unique<Pos>(); }

}  // namespace interleaf
