// SPDX-License-Identifier: GPL-2.0-only
// The state of a DPOR search in a file, to go on from in another process (checkpoint_file.h). That
// is what is open: paths of choices, and the nodes of the tree that they go through, each node
// once. A World cannot be stored; whoever goes on with a path runs it again up to its last choice.
//
// After the identity: counts, tally; nodes; paths, as lists of a node's number, the choice taken,
// events before it, and tasks covered. Objects are told by their place (Scheduler::place_of), which
// is the same in every process of one program; that it is the same one is for the identity to say.
#pragma once

#include <string>
#include <vector>

#include "scheduler/search/bounded_tally.h"
#include "scheduler/search/checkpoint_file.h"
#include "scheduler/search/dpor_node.h"

namespace interleaf {

// As in DporResult, in all processes that had a part in it.
struct DporCounts {
  std::uint64_t events = 0;
  std::uint64_t replayed = 0;
  std::uint64_t fallbacks = 0;
  double seconds = 0;
};

// A search between two runs.
struct DporState {
  explicit DporState(std::size_t sample_max) : tally(sample_max) {}

  DporCounts counts;
  BoundedTally tally;
  // The last choice of each was run; none is empty, unless nothing was run.
  std::vector<DporPath> paths;
};

// Errors: CheckpointError.
void write_dpor_checkpoint(const std::string& path, const Identity& identity,
                           const DporState& state);
// False if there is no such file.
bool read_dpor_checkpoint(const std::string& path, const Identity& identity, DporState& state);

}  // namespace interleaf
