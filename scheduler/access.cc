// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/access.h"

#include "scheduler/check.h"

namespace interleaf {

const char* op_name(Op op) {
  switch (op) {
    case Op::kRead:
      return "read";
    case Op::kWrite:
      return "write";
    case Op::kReadModifyWrite:
      return "rmw";
    case Op::kAcquire:
      return "acquire";
    case Op::kAcquireShared:
      return "acquire-shared";
    case Op::kTryAcquire:
      return "try-acquire";
    case Op::kTryAcquireShared:
      return "try-acquire-shared";
    case Op::kGranted:
      return "granted";
    case Op::kRelease:
      return "release";
    case Op::kReleaseShared:
      return "release-shared";
    case Op::kDowngrade:
      return "downgrade";
    case Op::kWait:
    case Op::kAwait:
      return "wait";
    case Op::kWake:
      return "wake";
    case Op::kFence:
      return "fence";
    case Op::kRcuLock:
      return "rcu-lock";
    case Op::kRcuUnlock:
      return "rcu-unlock";
    case Op::kGracePeriod:
      return "grace-period";
    case Op::kChoice:
      return "choice";
    case Op::kRelax:
      return "relax";
    case Op::kBegin:
      return "begin";
    case Op::kEnd:
      return "end";
    case Op::kFree:
      return "free";
  }
  CHECK(false);
}

}  // namespace interleaf
