// SPDX-License-Identifier: GPL-2.0-only
// What a search of all orders may take: the flags that `explore` and `matrix` have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "engine/explore.h"

namespace interleaf {

struct SearchFlags {
  unsigned jobs = 0;  // 0: all cores
  std::uint64_t runs = 0;
  unsigned retries = ExploreOptions{}.retries_max;
  std::string time;
  std::string memory;

  // Returns --memory, for what excludes it.
  CLI::Option* add_to(CLI::App& verb);
  // Errors: UserError for what is no time or no size.
  void apply(ExploreOptions& options) const;
};

}  // namespace interleaf
