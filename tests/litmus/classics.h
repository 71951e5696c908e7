// SPDX-License-Identifier: GPL-2.0-only
// The classics of partial-order reduction. Sources: Flanagan, Godefroid: "Dynamic partial-order
// reduction for model checking software" (2005): indexer, filesystem; Abdulla, Aronis, Jonsson,
// Sagonas: "Optimal dynamic partial order reduction" (2014): readers, lastzero. Every shared
// variable is atomic, as in those papers. Up to 39 tasks.
#pragma once

#include "tests/litmus/program.h"

namespace interleaf {

// One task stores to a variable, n tasks load it: 2^n classes.
LitmusProgram readers(unsigned n);
// Tasks 1..n each set a[i] = a[i - 1] + 1; one more looks for the last zero of a[0..n]:
// (n + 3) * 2^(n - 2) classes.
LitmusProgram lastzero(unsigned n);
// n tasks put 4 messages each into a hash table of 128 slots: one class for n <= 11, then 8 times
// as many with each further task.
LitmusProgram indexer(unsigned n);
// n tasks give 32 inodes one of 26 blocks: one class for n <= 13, then twice as many with each
// further task.
LitmusProgram filesystem(unsigned n);

}  // namespace interleaf
