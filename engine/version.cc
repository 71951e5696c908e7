// SPDX-License-Identifier: GPL-2.0-only
#include "engine/version.h"

namespace interleaf {

std::string version() { return INTERLEAF_VERSION; }

}  // namespace interleaf
