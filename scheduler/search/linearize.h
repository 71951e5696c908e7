// SPDX-License-Identifier: GPL-2.0-only
// A run as a partial order, and other runs of the same order. Steps that do not depend on each
// other (dependence.h) may change places; whoever claims that nothing comes of it, as every search
// that prunes does, can check the claim here: take a run, draw another linearisation, run it,
// compare.
//
// Mazurkiewicz, "Trace theory", 1987: the traces; the linearisations of one differ by exchanges of
// neighbours that are independent.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/prng.h"
#include "scheduler/strategy.h"

namespace interleaf {

// One step of a run: what was announced, and what came with it.
struct OrderedStep {
  struct Also {
    Op op;
    std::uint32_t object;
  };
  TaskId task = kNoTask;
  Access access;
  std::vector<Also> also;        // Strategy::also
  std::vector<unsigned> values;  // of data choices made by it
};
using OrderedRun = std::vector<OrderedStep>;

bool dependent(const OrderedStep& a, const OrderedStep& b);

// Lets `inner` choose and keeps every step, forced ones too. Steps of the epilogue are none.
class StepRecorder : public Strategy {
 public:
  virtual const OrderedRun& steps() const = 0;
};
std::unique_ptr<StepRecorder> make_step_recorder(Strategy& inner);

// Takes the tasks and values of `order` one after the other, past its end the keep-running policy.
class Follower : public Strategy {
 public:
  // How many steps went as wanted: the task could go on and announced the same operation.
  virtual std::size_t followed() const = 0;
  // False once one did not; the rest is then left to the keep-running policy.
  virtual bool good() const = 0;
};
std::unique_ptr<Follower> make_follower(const std::vector<const OrderedStep*>& order);

// Indices into a run, an order of its steps.
using Linearization = std::vector<std::uint32_t>;

class PartialOrder {
 public:
  // Quadratic in the number of steps. The last step stays last: it ended the run.
  explicit PartialOrder(const OrderedRun& run);

  // Draws one: at every place one of the tasks that may come next; often the one that was there.
  Linearization draw(Prng& prng) const;
  std::size_t size() const { return after_.size(); }

 private:
  std::vector<std::vector<std::uint32_t>> after_;  // steps that must come later
  std::vector<std::uint32_t> before_;              // how many must come earlier
  std::vector<TaskId> tasks_;
};

// Between `from` (a linearisation) and `to`: the first `taken` of `to`, then the others as in
// `from`. All of these are linearisations, and two neighbours differ by one step that moved.
Linearization between(const Linearization& from, const Linearization& to, std::size_t taken);

}  // namespace interleaf
