// SPDX-License-Identifier: GPL-2.0-only
// Which program this is: "0.1.0 (commit)". Goes into recordings and `interleaf --version`.
#pragma once

#include <string>

namespace interleaf {

std::string version();

}  // namespace interleaf
