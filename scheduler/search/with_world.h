// SPDX-License-Identifier: GPL-2.0-only
// How a search with several workers gets its Worlds.
#pragma once

#include <functional>

#include "scheduler/world.h"

namespace interleaf {

// Makes a World in slot `slot` and calls `work` with it, all in the calling thread.
using WithWorld = std::function<void(unsigned slot, const std::function<void(World&)>& work)>;

}  // namespace interleaf
