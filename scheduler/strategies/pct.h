// SPDX-License-Identifier: GPL-2.0-only
// What a statement about a run of PCT has to know of it. pct.cc says what the bound rests on.
#pragma once

#include <cstdint>
#include <optional>

namespace interleaf {

struct PctRun {
  unsigned depth = 0;
  std::uint32_t decisions = 0;
  std::uint32_t decisions_assumed = 0;  // that the changes were spread over
  bool bent = false;                    // a task polled and fell below all others
};

// A strategy that makes runs of PCT, some or all.
class PctSource {
 public:
  virtual ~PctSource() = default;
  // Of the last run; none if that was no run of PCT.
  virtual std::optional<PctRun> pct_run() const = 0;
};

}  // namespace interleaf
