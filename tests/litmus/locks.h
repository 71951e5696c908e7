// SPDX-License-Identifier: GPL-2.0-only
// Locks made of shared variables, each right under sequential consistency, and with the one
// mistake that its name tells. A broken one can let two tasks into its section, show a reader half
// of a write, or hang.
#pragma once

#include "tests/litmus/program.h"

namespace interleaf {

// n philosophers, n forks. Correct: the last one takes his forks in the other order. Broken: all
// take the left one first, and may starve to death.
LitmusProgram philosophers(unsigned n);
LitmusProgram philosophers_deadlock(unsigned n);
// Two or more tasks. Broken: the ticket is drawn by a load and a store.
LitmusProgram ticket_lock(unsigned tasks);
LitmusProgram ticket_lock_torn_draw(unsigned tasks);
// A writer and a reader of two words. Broken: the reader does not look at the count again.
LitmusProgram seqlock();
LitmusProgram seqlock_no_retry();
// Two tasks. Broken: the turn is given away before the flag is raised.
LitmusProgram peterson();
LitmusProgram peterson_turn_first();
// Two tasks try once each: raise the flag, enter if the other's is down. Broken: they look first.
LitmusProgram dekker();
LitmusProgram dekker_look_first();
// Queue lock of Mellor-Crummey and Scott (1991). Broken: unlock finds no successor yet and leaves
// without the exchange that would tell.
LitmusProgram mcs_lock(unsigned tasks);
LitmusProgram mcs_lock_hasty_unlock(unsigned tasks);

}  // namespace interleaf
