// SPDX-License-Identifier: GPL-2.0-only
// A scenario's text with some of its parts changed. Top-level keys that do not change keep their
// bytes; those that do are written anew. What the text says about the whole workload does not hold
// for a smaller one: comments between the keys and other kernels' expectations are left out, and
// tables and windows unless the caller asks for them.
//
// Pure functions. Errors: none; a text that can not be edited so gives nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/configuration.h"

namespace interleaf {

// What the new text has in place of the scenario's own.
struct ScenarioEdit {
  std::vector<TaskSpec> tasks;
  std::vector<DaemonSpec> daemons;
  std::map<std::string, std::uint64_t> faults;
  bool tables = false;             // keep `table` and `tables`
  std::vector<WindowSpec> window;  // what to keep of it
  std::string verdict;             // the one that is expected now, for this kernel alone
};

// Nothing changed but for what is left out.
ScenarioEdit edit_of(const Scenario& scenario, std::string verdict);

// Nullopt if the reader does not take the new text, or not as it was meant.
std::optional<std::string> edited_text(const Configuration& configuration,
                                       const ScenarioEdit& edit);

// `comment` as comment lines on top.
std::string with_headline(std::string_view comment, const std::string& text);

}  // namespace interleaf
