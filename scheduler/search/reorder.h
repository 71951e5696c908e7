// SPDX-License-Identifier: GPL-2.0-only
// Another order of the steps of a run, as far as it can be had: the first ones exactly, the rest as
// well as may be. Unlike a Follower (linearize.h) it does not end with the first difference.
#pragma once

#include <memory>
#include <vector>

#include "scheduler/search/linearize.h"

namespace interleaf {

// Of what is left of the order, always the first step whose task can go on; past its end the
// keep-running policy. A data choice has the value that it had if its step announced the same
// operation, else 0.
class Reordered : public Strategy {
 public:
  // True once the first `exactly` steps went as wanted: each of its task, with its operation.
  virtual bool kept() const = 0;
};
// The steps must outlive it. For one run.
std::unique_ptr<Reordered> make_reordered(std::vector<const OrderedStep*> order,
                                          std::size_t exactly);

}  // namespace interleaf
