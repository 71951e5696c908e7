// SPDX-License-Identifier: GPL-2.0-only
// What `explore` prints: the statement, which says no more than what was checked, and the JSON. The
// same bytes whatever the number of jobs, and whether the search was resumed; but for times where
// it was out of budget.
#pragma once

#include <string>
#include <vector>

#include "engine/commands/command.h"
#include "engine/explore.h"

namespace interleaf {

// Which program the answer holds for, and whether all of it was seen. A line or more, each ending
// in a newline.
std::string explore_statement(const Configuration& configuration, const ExploreOptions& options,
                              const ExploreReport& report);
// Tables, levels, signatures, the statement.
std::string explore_text(const Configuration& configuration, const ExploreOptions& options,
                         const ExploreReport& report);
// `paths`: recordings of the findings, or empty.
Json explore_json(const ExploreOptions& options, const ExploreReport& report,
                  const std::vector<std::string>& paths);

std::string estimate_text(const ExploreOptions& options, const ExploreEstimate& estimate);
Json estimate_json(const ExploreOptions& options, const ExploreEstimate& estimate);

// 1,284

}  // namespace interleaf
