// SPDX-License-Identifier: GPL-2.0-only
// Counting and picking in sets of tasks. Baseline x86-64 has no instruction for either, and a loop
// over an unpredictable number of bits costs a misprediction per point; up to eight tasks are
// therefore looked up.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "scheduler/access.h"

namespace interleaf {

// Nibble i is the position of bit i of those that are set; bits 32 and up are their number.
inline constexpr std::array<std::uint64_t, 256> kSetBits = [] {
  std::array<std::uint64_t, 256> table = {};
  for (unsigned mask = 0; mask < 256; ++mask) {
    std::uint64_t count = 0;
    for (std::uint64_t bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1) != 0) table[mask] |= bit << (4 * count++);
    }
    table[mask] |= count << 32;
  }
  return table;
}();

inline std::uint32_t count_tasks(TaskMask tasks) {
  if (tasks < 256) [[likely]]
    return static_cast<std::uint32_t>(kSetBits[tasks] >> 32);
  return static_cast<std::uint32_t>(std::popcount(tasks));
}

// The task with `index` smaller ones in `tasks`. Requires: index < count_tasks(tasks).
inline TaskId nth_task(TaskMask tasks, std::uint32_t index) {
  if (tasks < 256) [[likely]]
    return static_cast<TaskId>(kSetBits[tasks] >> (4 * index) & 15);
  for (; index > 0; --index) tasks &= tasks - 1;
  return static_cast<TaskId>(std::countr_zero(tasks));
}

}  // namespace interleaf
