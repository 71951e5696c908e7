// SPDX-License-Identifier: GPL-2.0-only
// The state of a bounded search in a file, to go on from in another process. Whole and checked:
// written to a temporary name, flushed to disk and renamed; read only if the checksum at its end
// agrees. The identity says what the search was of; a file of another search is refused.
//
//   8 bytes magic, format; then, in 8-byte little-endian words unless said otherwise:
//   identity (pairs of texts), state, cache, orders; 16 bytes checksum of all before
//
// A list is its length and its elements, a text or a schedule its length and its bytes.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/search/bounded.h"
#include "scheduler/search/bounded_tally.h"
#include "scheduler/search/branches.h"
#include "scheduler/search/prefix_set.h"

namespace interleaf {

// The file cannot be used: it is damaged, of something else, or cannot be read or written. The
// message names the file and what is wrong.
class CheckpointError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Identity = std::vector<std::pair<std::string, std::string>>;

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
// The search is over. No error if there is no such file.
void remove_checkpoint(const std::string& path);

}  // namespace interleaf
