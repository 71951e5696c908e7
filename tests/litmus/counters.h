// SPDX-License-Identifier: GPL-2.0-only
// Programs of loads, stores and locks around a counter; what explorers are measured with.
#pragma once

#include "tests/litmus/program.h"

namespace interleaf {

// `tasks` tasks that each increment one counter `times` times, load and store separate.
LitmusProgram cnt(unsigned tasks, unsigned times);  // "cntT_N"
// The same inside a mutex.
LitmusProgram lockcnt(unsigned tasks, unsigned times);  // "lockcntT_N"
// Three tasks of 66 accesses each, all but `times` increments of the counter on a variable of
// their own: the increments come last, or evenly spread. Requires: times <= 33.
LitmusProgram long3(unsigned times);    // "long3_K"
LitmusProgram spread3(unsigned times);  // "spread3_K"
// The same with `work` rounds of a loop between two accesses: what code does besides.
LitmusProgram spread3_working(unsigned times, unsigned work);  // "spread3_K+work"
// Store buffering: each of two tasks stores to a variable and loads the other's.
LitmusProgram sb();
// `tasks` tasks that store to one variable.
LitmusProgram writers(unsigned tasks);
// Two readers and a writer of a variable under an rwlock.
LitmusProgram rwlock();

}  // namespace interleaf
