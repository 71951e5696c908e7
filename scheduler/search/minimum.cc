// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/minimum.h"

#include <algorithm>
#include <utility>

#include "scheduler/search/bounded.h"

namespace interleaf {

MinimumResult minimum(World& world, const Schedule& schedule, const MinimumOptions& options,
                      const std::function<bool(const RunResult&)>& same) {
  MinimumResult result;
  const auto replay = make_replay(schedule);
  result.preemptions_given = world.run(*replay, options.run).preemptions;
  result.found = reduce(world, schedule, options.run, same, options.tries_max);
  result.preemptions_reduced = result.found.run.preemptions;
  result.runs = 1 + result.found.tried;
  if (options.search_runs == 0) return result;

  BoundedOptions bounded;
  bounded.preemptions_max = static_cast<unsigned>(result.found.run.preemptions);
  bounded.runs_max = options.search_runs;
  bounded.prefixes_max = options.search_prefixes;
  bounded.seconds_max = options.search_seconds;
  bounded.stop_at_first = true;
  bounded.run = options.run;
  bounded.run.retries_max = options.search_retries;
  bounded.signature = [&](const RunResult& run) { return same(run) ? "it" : ""; };
  std::uint64_t others_from = ~std::uint64_t{0};  // fewest preemptions of another finding
  bounded.ended = [&](const RunResult& run, const Hash128&) {
    if (!run.clean() && !same(run)) others_from = std::min(others_from, run.preemptions);
  };
  const BoundedResult search = explore_bounded(world, bounded);
  result.runs += search.runs + search.pruned;
  result.clean_up_to = search.complete_up_to;
  result.budget = search.budget;
  result.retry_cuts = search.retry_cuts;
  if (result.retry_cuts.orders != 0) result.clean_up_to = -1;
  for (int level = 0; level <= result.clean_up_to; ++level) {
    result.orders += search.levels[static_cast<std::size_t>(level)].classes;
  }
  result.other_findings = static_cast<std::int64_t>(others_from) <= result.clean_up_to;
  if (!search.findings.empty()) {
    MinimizeResult canonical =
        reduce(world, search.findings.front().schedule, options.run, same, options.tries_max);
    result.runs += canonical.tried;
    result.found = std::move(canonical);
    result.canonical = true;
  }
  if (static_cast<std::int64_t>(result.found.run.preemptions) <= result.clean_up_to) {
    result.hidden_dependence = true;
    result.clean_up_to = -1;
    result.orders = 0;
  }
  return result;
}

}  // namespace interleaf
