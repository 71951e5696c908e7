// SPDX-License-Identifier: GPL-2.0-only
// Reads the key `tasks` of a scenario: the calls and loops of every task. Internal to scenario.cc.
//
// Errors: UserError with file:line:column. Thread-safe: no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/task_spec.h"
#include "engine/yaml_reader.h"

namespace interleaf {

// `files` are the names that paths may name, `reserved` those that no task may have.
std::vector<TaskSpec> read_tasks(const YamlReader& yaml, const YAML::Node& node,
                                 const std::vector<std::string>& files,
                                 const std::vector<std::string>& reserved, std::uint64_t page_size);

}  // namespace interleaf
