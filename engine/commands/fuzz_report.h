// SPDX-License-Identifier: GPL-2.0-only
// What `interleaf fuzz` says of a search: the closing lines and the JSON. Nothing in it depends on
// the number of threads or on the clock, but for where a search by the clock ended. A statement is
// printed only where what it rests on holds (scheduler/search/statistics.h).
#pragma once

#include <string>
#include <vector>

#include "engine/commands/command.h"
#include "engine/fuzz.h"

namespace interleaf {

// The findings by signature, with their frequencies; then a block of about ten lines.
std::string fuzz_summary(const Configuration& configuration, const FuzzOptions& options,
                         const FuzzReport& report);

// docs/JSON.md; without runs_per_second. `paths`: where the findings were stored; may be empty.
Json fuzz_json(const FuzzOptions& options, const FuzzReport& report,
               const std::vector<std::string>& paths);

}  // namespace interleaf
