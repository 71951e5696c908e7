// SPDX-License-Identifier: GPL-2.0-only
// Which locks are held where a kind of object is accessed, in a sample of runs: the lockset of
// Eraser (Savage et al., 1997), with counts instead of a verdict. What most accesses hold is what a
// missing one might have to hold; that is a hint, no proof.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/world.h"

namespace interleaf {

struct LocksetCount {
  std::uint64_t accesses = 0;
  std::map<std::string, std::uint64_t> locks;  // by class: accesses that held one of it
};

// By kind (ObjectKinds::of), of those in `kinds`: over runs of the strategy pos with the seeds 0 to
// runs - 1.
std::map<std::uint64_t, LocksetCount> sample_locksets(World& world,
                                                      const std::vector<std::uint64_t>& kinds,
                                                      RunOptions options, std::uint64_t runs);

}  // namespace interleaf
