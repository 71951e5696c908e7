// SPDX-License-Identifier: GPL-2.0-only
// The sizes of the simulated machine. The defaults are those of x86-64; a search takes tiny ones.
//
// Errors: UserError. Thread-safety: a value, no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace interleaf {

struct Geometry {
  std::uint64_t page_size = 4096;
  std::uint64_t block_size = 4096;
  std::uint64_t hpage_pages = 512;  // pages of a huge page
  std::uint64_t folio_batch = 0;    // folios truncate and friends handle at a time; 0: the kernel's
  std::uint64_t xa_slots = 64;      // slots of an xarray node
  std::uint64_t disk_blocks = 65536;
  std::uint64_t readahead_pages = 32;  // 0: no readahead
  std::uint64_t volatile_cache = 0;    // 1: the disk has a write cache that a power cut empties
  std::uint64_t barriers = 1;          // 0: the filesystem does not flush it
  std::uint64_t journal_blocks = 0;    // ext4's log; 0: without end
  std::uint64_t data_ordered = 1;      // ext4; 0: data=writeback
  std::uint64_t dioread_nolock = 1;    // ext4; 0: writeback allocates written blocks
  std::uint64_t sector_size = 512;     // what the disk writes whole at a power cut

  bool operator==(const Geometry&) const = default;
};

// The members' names, in the order of the struct.
std::vector<std::string> geometry_names();

// Sets one member by its name, as in `--set hpage_pages=8`. Errors: unknown name, bad value; then
// the message ends in `place`.
void set_geometry(Geometry& geometry, std::string_view name, std::string_view value,
                  const std::string& place = "");

// What every Geometry must satisfy as a whole. Call after the last set_geometry().
void check_geometry(const Geometry& geometry, const std::string& place = "");

}  // namespace interleaf
