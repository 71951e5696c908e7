// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/detect/detectors.h"

namespace interleaf {

std::span<const DetectorInfo> detector_table() {
  static constexpr DetectorInfo kTable[] = {
      {"data-race", &Detectors::data_race,
       "a plain access and another of the same field that nothing orders"},
      {"lock-order", &Detectors::lock_order, "lock classes taken in orders that make a cycle"},
      {"sleep-in-atomic", &Detectors::sleep_in_atomic,
       "a call that may sleep under a spinlock or in an RCU read section"},
  };
  return kTable;
}

}  // namespace interleaf
