// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/finding.h"

#include "scheduler/check.h"

namespace interleaf {

std::span<const FindingKind> finding_kinds() {
  using enum FindingKind;
  static constexpr FindingKind kAll[] = {
      kLostDirtyData,    kStaleData, kUseAfterFree,  kKernelBug,     kRefcount,
      kDeadlock,         kLivelock,  kSleepInAtomic, kLockHeldAtEnd, kKernelWarning,
      kUnexpectedReturn, kLockOrder, kDataRace,
  };
  return kAll;
}

std::string_view finding_name(FindingKind kind) {
  switch (kind) {
    case FindingKind::kLostDirtyData:
      return "lost-dirty-data";
    case FindingKind::kLostAfterPowerCut:
      return "lost-after-power-cut";
    case FindingKind::kStaleData:
      return "stale-data";
    case FindingKind::kUseAfterFree:
      return "use-after-free";
    case FindingKind::kKernelBug:
      return "kernel-bug";
    case FindingKind::kRefcount:
      return "refcount";
    case FindingKind::kDeadlock:
      return "deadlock";
    case FindingKind::kLivelock:
      return "livelock";
    case FindingKind::kSleepInAtomic:
      return "sleep-in-atomic";
    case FindingKind::kLockHeldAtEnd:
      return "lock-held-at-end";
    case FindingKind::kDataRace:
      return "data-race";
    case FindingKind::kKernelWarning:
      return "kernel-warning";
    case FindingKind::kUnexpectedReturn:
      return "unexpected-return";
    case FindingKind::kLockOrder:
      return "lock-order";
  }
  CHECK(false);
}

std::string Finding::signature() const {
  std::string text(finding_name(kind));
  text += ':';
  // Which of its edges closes a cycle, and who was there, is a matter of the schedule.
  if (kind == FindingKind::kLockOrder) return text + ':' + object;
  for (auto function = stack.rbegin(); function != stack.rend(); ++function) {
    if (function != stack.rbegin()) text += '<';
    text += *function;
  }
  return text + ':' + object;
}

}  // namespace interleaf
