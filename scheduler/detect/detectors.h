// SPDX-License-Identifier: GPL-2.0-only
// Which of the detectors that can be switched off report what they see.
#pragma once

#include <span>
#include <string_view>

namespace interleaf {

struct Detectors {
  // Off unless asked for: see docs/MODEL.md.
  bool data_race = false;
  bool lock_order = true;
  bool sleep_in_atomic = true;
  bool operator==(const Detectors&) const = default;
};

// Their names, sorted, as users and recordings know them.
struct DetectorInfo {
  std::string_view name;
  bool Detectors::*on;
  std::string_view summary;
};
std::span<const DetectorInfo> detector_table();

}  // namespace interleaf
