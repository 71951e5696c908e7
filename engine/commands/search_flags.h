// SPDX-License-Identifier: GPL-2.0-only
// What a search of all orders may take: the flags that `explore` and `matrix` have in common, and
// how often loops are repeated in vain, which all verbs that make runs may be told.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "engine/explore.h"
#include "scheduler/search/retry_limit.h"

namespace interleaf {

// --retries: RunOptions::retries_max.
struct RetriesFlag {
  std::uint32_t value = 0;  // what it is without the flag; 0: no limit

  void add_to(CLI::App& verb);
  // The same flag again, for a command line; with a blank in front. Empty if there is no limit.
  std::string text() const;
};
// "2 orders cut after 3 fruitless repetitions of filemap_get_read_batch": a line for each function
// in whose loop `what` ("order", "run") was cut.
std::string retry_cuts_text(const RetryCuts& cuts, std::uint32_t retries_max, const char* what);

struct SearchFlags {
  unsigned jobs = 0;  // 0: all cores
  std::uint64_t runs = 0;
  RetriesFlag retries{ExploreOptions::kRetriesDefault};
  std::string time;
  std::string memory;

  // Returns --memory, for what excludes it.
  CLI::Option* add_to(CLI::App& verb);
  // Errors: UserError for what is no time or no size.
  void apply(ExploreOptions& options) const;
};

}  // namespace interleaf
