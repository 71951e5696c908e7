// SPDX-License-Identifier: GPL-2.0-only
// The scenarios that can be run thousands of times: all but those that are a program in its own
// sizes, which raise steps_max above a million. tests/reproducer_test.cc runs those. `./dev` has
// the same rule.
#pragma once

#include <string>
#include <vector>

#include "engine/scenario.h"

namespace interleaf {

inline bool is_searched(const std::string& name) {
  return load_scenario(name).steps_max.value_or(0) <= 1'000'000;
}

// In the order of list_scenarios().
inline std::vector<std::string> searched_scenarios() {
  std::vector<std::string> names = list_scenarios();
  std::erase_if(names, [](const std::string& name) { return !is_searched(name); });
  return names;
}

}  // namespace interleaf
