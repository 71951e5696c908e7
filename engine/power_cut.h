// SPDX-License-Identifier: GPL-2.0-only
// Where the power fails in a run, and what the disk makes of it. A value; recordings hold one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace interleaf {

struct PowerCut {
  // A write that only the disk's cache had, of which some sectors reached the medium.
  struct Torn {
    std::uint32_t write = 0;
    std::uint32_t sectors = 0;  // so many are new
    bool last = false;          // the last ones, else the first
    bool operator==(const Torn&) const = default;
  };

  std::uint64_t steps = 0;   // of the run before the cut
  std::uint32_t logged = 0;  // changes of metadata that are on disk
  // By number among the block writes before the cut, from 0.
  std::vector<std::uint32_t> lost;
  std::vector<Torn> torn;

  // Landmarks, for an engine in which the step is another one: what was done before the cut.
  std::string after;          // the last promise, "writer:fsync#1"; empty: none
  std::uint32_t writes = 0;   // block writes
  std::uint32_t records = 0;  // changes of metadata logged
  bool operator==(const PowerCut&) const = default;
};

}  // namespace interleaf
