// SPDX-License-Identifier: GPL-2.0-only
// The names of the scenarios by their files, for registering benchmarks: that happens before
// main(), when the tables that scenarios are read with may not be there yet.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace interleaf {

// Sorted.
inline std::vector<std::string> scenario_files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(INTERLEAF_SCENARIO_DIR)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace interleaf
