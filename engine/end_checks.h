// SPDX-License-Identifier: GPL-2.0-only
// What must hold of a filesystem when nothing is going on: its counts, reservations, tags and
// sizes. Judges states, not data, which is the oracle's (oracle.h). docs/MODEL.md, "Checks of
// states", names the invariant that each is. A reservation that was leaked with data that the
// oracle calls lost is no finding of its own.
//
// Makes no points. Outside a run it does nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/byte_ranges.h"
#include "engine/kernel/fs.h"
#include "engine/oracle.h"

namespace interleaf {

// One run's end: all of these once, in this order. Reports what is wrong, each thing once.
class EndChecks {
 public:
  EndChecks(const kernel::super_block& sb, const Oracle& oracle) : sb_(sb), oracle_(oracle) {}

  // No call runs, the filesystem's tasks have nothing to do.
  void quiet();
  // And all that was dirty has been written back, as far as that is possible.
  void synced();
  // And the filesystem has given back what its inodes kept for later.
  void evicted();

 private:
  using Blocks = std::vector<ByteRange>;  // of the file

  void check_counts();
  void check_reservations(const kernel::inode& node, bool synced);
  void check_behind_end(const kernel::inode& node);
  void check_cache(const kernel::inode& node);
  void check_size(const kernel::inode& node);
  void check_free();
  // Runs of blocks of which every one is reserved for data.
  Blocks reserved_runs(const kernel::inode& node) const;
  // Would writeback, now or when it is over, find one of these blocks in the cache?
  bool in_use(const kernel::inode& node, const ByteRange& blocks) const;
  void report(const char* what, const std::string& message);

  const kernel::super_block& sb_;
  const Oracle& oracle_;
  std::uint64_t told_ = 0;  // blocks of leaks
  bool counts_told_ = false;
};

// The end of a run, in its epilogue: unmounts the filesystem, and lets the oracle and these judge
// what the cache and the disk hold together; what the disk has once everything is written back; and
// what is left when nobody uses the files any more.
void unmount_and_check(Oracle& oracle);

}  // namespace interleaf
