// SPDX-License-Identifier: GPL-2.0-only
// How much the litmus tests do: a little per commit, all of it in `./dev soak`, which sets
// INTERLEAF_SOAK in the environment.
#pragma once

#include <cstdlib>

namespace interleaf {

inline bool soaking() { return std::getenv("INTERLEAF_SOAK") != nullptr; }

}  // namespace interleaf
