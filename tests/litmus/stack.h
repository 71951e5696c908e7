// SPDX-License-Identifier: GPL-2.0-only
// The lock-free stack of Treiber (1986).
#pragma once

#include "tests/litmus/program.h"

namespace interleaf {

// One task pops while the other pops, pushes and pops. The correct one counts its changes in the
// word that it exchanges; the other exchanges the top if it is the node it saw, though that node
// may have been popped and pushed again meanwhile, with another one below it (ABA): a node is
// handed out twice.
LitmusProgram treiber_stack();
LitmusProgram treiber_stack_aba();

}  // namespace interleaf
