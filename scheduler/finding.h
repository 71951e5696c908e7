// SPDX-License-Identifier: GPL-2.0-only
// A finding is a value: what went wrong, where, at which step. Findings are never printed or
// thrown by their finder.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/access.h"

namespace interleaf {

// Ordered by weight: of several findings in a run the first one with the smallest value is the
// run's verdict.
enum class FindingKind : std::uint8_t {
  kLostDirtyData,
  kLostAfterPowerCut,
  kStaleData,
  kUseAfterFree,
  kKernelBug,
  kRefcount,
  kDeadlock,
  kLivelock,
  kSleepInAtomic,
  kLockHeldAtEnd,
  kKernelWarning = 10,  // values are part of digests
  kUnexpectedReturn,
  kLockOrder,
  kDataRace,
};

// The verdict's name as users and JSON know it ("lost-dirty-data", ...).
std::string_view finding_name(FindingKind kind);
// All of them, by weight.
std::span<const FindingKind> finding_kinds();

struct Finding {
  FindingKind kind;
  std::uint64_t step = 0;  // the step that did it
  TaskId task = kNoTask;
  std::string task_name;
  std::string object;                // the role of the object, stable: "folio", "invalidate_lock"
  std::string message;               // sentences for people, may name numbers
  std::vector<std::string> stack;    // functions, outermost first
  std::vector<std::string> details;  // evidence, a line each

  // kind + function chain + object: equal for the same bug in different runs. A lock order has no
  // function chain.
  std::string signature() const;
};

}  // namespace interleaf
