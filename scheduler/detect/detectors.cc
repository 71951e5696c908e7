// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/detect/detectors.h"

namespace interleaf {

std::span<const DetectorInfo> detector_table() {
  static constexpr DetectorInfo kTable[] = {
      {"data-race", &Detectors::data_race},
      {"lock-order", &Detectors::lock_order},
      {"sleep-in-atomic", &Detectors::sleep_in_atomic},
  };
  return kTable;
}

}  // namespace interleaf
