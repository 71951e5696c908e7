// SPDX-License-Identifier: GPL-2.0-only
// Makes sequences as fsx of xfstests does: the same table of operations, the same trims, in the
// same order of draws, from a generator of our own. So the distribution is fsx's; its sequences are
// not.
//
// An operation that nothing here can do is written as skipped, so that the others stay where they
// are.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/fsx/ops.h"

namespace interleaf {

struct FsxOptions {
  std::uint64_t seed = 1;             // -S
  std::uint64_t count = 1000;         // -N
  std::uint64_t length_max = 262144;  // -l: of the file
  std::uint64_t op_max = 65536;       // -o: of an operation
  bool map_reads = true;              // off with -R
  bool map_writes = true;             // off with -W
  bool integrity = false;             // fsync is one of the operations
  std::uint64_t close_chance = 0;     // -c: 1 in so many operations closes and opens; 0: none
  std::uint64_t block_size = 4096;    // collapse and insert range are in blocks
};

// Requires: length_max and op_max are not 0.
std::vector<FsxOp> generate_fsx(const FsxOptions& options);

}  // namespace interleaf
