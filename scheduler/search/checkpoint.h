// SPDX-License-Identifier: GPL-2.0-only
// The state of a bounded search in a file, to go on from in another process (checkpoint_file.h):
// after the identity the state, the cache, the orders.
#pragma once

#include <string>
#include <vector>

#include "scheduler/search/bounded.h"
#include "scheduler/search/bounded_tally.h"
#include "scheduler/search/branches.h"
#include "scheduler/search/checkpoint_file.h"
#include "scheduler/search/prefix_set.h"

namespace interleaf {

// A search between two runs.
struct BoundedState {
  explicit BoundedState(std::size_t sample_max) : tally(sample_max) {}

  unsigned level = 0;
  unsigned pass = 0;          // of the parts of the level
  std::uint64_t runs = 0;     // in all levels, pruned ones included
  std::uint64_t choices = 0;  // in the frontier of the level at first
  std::vector<BoundedLevel> levels;
  BoundedTally tally;            // of all levels
  std::vector<Branch> given;     // begun and not done
  std::vector<Branch> frontier;  // not begun
  std::vector<Branch> next;      // the frontier of the next level so far
};

// Errors: CheckpointError.
void write_checkpoint(const std::string& path, const Identity& identity, const BoundedState& state,
                      const PrefixSet& seen, const PrefixSet& orders);
// False if there is no such file.
bool read_checkpoint(const std::string& path, const Identity& identity, BoundedState& state,
                     PrefixSet& seen, PrefixSet& orders);

}  // namespace interleaf
