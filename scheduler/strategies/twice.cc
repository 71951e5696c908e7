// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/strategies/twice.h"

namespace interleaf {

TwiceResult run_twice(World& world, Strategy& strategy, const RunOptions& options) {
  TwiceResult result;
  result.first = world.run(strategy, options);
  const auto replay = make_replay(result.first.schedule);
  const RunResult& second = world.run(*replay, options);
  const RunResult& first = result.first;
  if (replay->diverged()) {
    result.difference = "choice " + std::to_string(replay->diverged_at()) + " was not possible";
  } else if (first.steps != second.steps) {
    result.difference =
        "steps " + std::to_string(first.steps) + " and " + std::to_string(second.steps);
  } else if (first.digest != second.digest) {
    result.difference = "the digests of the events";
  } else if (first.findings.size() != second.findings.size()) {
    result.difference = "the findings";
  }
  return result;
}

}  // namespace interleaf
