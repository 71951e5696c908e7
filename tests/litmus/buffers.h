// SPDX-License-Identifier: GPL-2.0-only
// Programs with condition variables: a mutex with wait queues.
#pragma once

#include "tests/litmus/program.h"

namespace interleaf {

// A bounded buffer of two slots: one task puts four items in, one or two take them out. Correct.
LitmusProgram bbuf2();
LitmusProgram bbuf3();

// One task waits for a flag that another sets. The correct one looks at the flag between
// prepare_to_wait and schedule; the other looks before alone, and may sleep through the wake-up.
LitmusProgram wait_for_flag();
LitmusProgram wait_for_flag_lost_wakeup();

}  // namespace interleaf
