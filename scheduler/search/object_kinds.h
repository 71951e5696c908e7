// SPDX-License-Identifier: GPL-2.0-only
// What kind of object an address is: the type of its block and the place in it, the same in every
// run and every World of a program. A block without a type that exists when a run begins is a kind
// of its own; one that a run made is told from others by its size.
//
// For the Scheduler of one World. Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/arena.h"

namespace interleaf {

class ObjectKinds {
 public:
  // Before the first run performs anything: notes the blocks that every run begins with. Later
  // calls do nothing. Allocates.
  void learn(const Arena& arena) {
    if (boot_.empty()) learn_boot(arena);
  }
  // A hash, never 0. Logarithmic in the blocks at boot, linear in those of the run.
  std::uint64_t of(const Arena& arena, const void* address) const;

 private:
  void learn_boot(const Arena& arena);

  std::vector<const Arena::Block*> boot_;  // by address
};

}  // namespace interleaf
