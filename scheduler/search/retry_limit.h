// SPDX-License-Identifier: GPL-2.0-only
// What a search with a limit on fruitless repetitions (RunOptions::retries_max) has to say of them,
// and how its schedules become such of runs without one.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "scheduler/world.h"

namespace interleaf {

// Orders that were cut, each once, and by the function whose loop it was: an order may be cut in
// several.
struct RetryCuts {
  std::uint64_t orders = 0;
  std::map<std::string, std::uint64_t> functions;

  // The run that has just ended in this World.
  void add(const World& world);
  void merge(const RetryCuts& other);
};

// `schedule` leads to the same steps up to where the run ended with the limit. Without it, the
// tasks that were left in their loops go on after that, by the keep-running policy. Leaves `world`
// at the end of that run.
Schedule without_retry_limit(World& world, const RunOptions& options, const Schedule& schedule);

}  // namespace interleaf
