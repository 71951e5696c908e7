// SPDX-License-Identifier: GPL-2.0-only
// Strategies as users name them: NAME or NAME:PARAMETER.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "engine/world.h"
#include "scheduler/strategy.h"

namespace interleaf {

struct NamedStrategy {
  std::string_view name;
  std::string_view parameters;  // what may follow the name, as a usage line has it
  std::string_view summary;
  std::string_view source;      // the paper, or empty
  std::string_view deviations;  // from the paper
  // LearningStrategy::campaign_runs: how many runs depend on each other; 1: a seed alone decides.
  std::uint64_t campaign_runs = 1;
};
std::span<const NamedStrategy> named_strategies();

// Of the strategy that `spec` names; 1 if it names none.
std::uint64_t campaign_runs(std::string_view spec);

// Some make a trial run of the world first. Errors: UserError for an unknown name or a parameter
// that is out of range.
std::unique_ptr<Strategy> make_strategy(ScenarioWorld& world, std::string_view spec);

}  // namespace interleaf
