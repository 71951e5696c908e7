// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/programs.h"

#include "tests/litmus/buffers.h"
#include "tests/litmus/locks.h"
#include "tests/litmus/stack.h"

namespace interleaf {

std::vector<JudgedProgram> judged_programs() {
  const char* const kTwoInside = "kernel-bug::section";
  return {
      {bbuf2(), {}},         {bbuf3(), {}, true},
      {wait_for_flag(), {}}, {wait_for_flag_lost_wakeup(), {"deadlock::the flag"}},
      {philosophers(3), {}}, {philosophers_deadlock(3), {"deadlock::fork"}},
      {ticket_lock(3), {}},  {ticket_lock_torn_draw(2), {kTwoInside, "deadlock::the ticket"}},
      {seqlock(), {}},       {seqlock_no_retry(), {"kernel-bug::words"}},
      {peterson(), {}},      {peterson_turn_first(), {kTwoInside}},
      {dekker(), {}},        {dekker_look_first(), {kTwoInside}},
      {mcs_lock(2), {}},     {mcs_lock_hasty_unlock(2), {"deadlock::the lock"}},
      {treiber_stack(), {}}, {treiber_stack_aba(), {"kernel-bug::node"}},
  };
}

}  // namespace interleaf
