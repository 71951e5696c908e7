// SPDX-License-Identifier: GPL-2.0-only
// How many runs a strategy takes to its first finding: the median over a hundred searches, for
// every strategy on every scenario that is expected to show one. Counts runs, not time, so the
// table is the same on every machine. `./dev bench` prints it.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/expectation.h"
#include "engine/run.h"
#include "engine/strategies.h"
#include "tests/searched_scenarios.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kSearches = 100;
constexpr std::uint64_t kRunsMax = 1000;  // of one search
constexpr std::uint64_t kSeedsApart = std::uint64_t{1} << 32;

bool counts(const RunResult& run, const std::vector<std::string>& known) {
  if (run.clean()) return false;
  const std::string signature = signature_of(run);
  return std::none_of(known.begin(), known.end(),
                      [&](const std::string& prefix) { return signature.starts_with(prefix); });
}

// Runs up to the first finding; kRunsMax + 1 if there was none.
std::uint64_t search(ScenarioWorld& world, Strategy& strategy, std::uint64_t number,
                     const std::vector<std::string>& known) {
  RunOptions options;
  options.steps_max = world.steps_max();
  for (std::uint64_t run = 0; run < kRunsMax; ++run) {
    options.seed = number * kSeedsApart + run;
    if (counts(world.world().run(strategy, options), known)) return run + 1;
  }
  return kRunsMax + 1;
}

std::string median(ScenarioWorld& world, const std::string& name) {
  const auto strategy = make_strategy(world, name);
  const std::vector<std::string> known = known_signatures(world.configuration());
  std::vector<std::uint64_t> runs;
  std::uint64_t missed = 0;
  // Once half of them found nothing, the median is known to be beyond.
  while (runs.size() < kSearches && missed < kSearches / 2) {
    runs.push_back(search(world, *strategy, runs.size(), known));
    if (runs.back() > kRunsMax) ++missed;
  }
  if (missed >= kSearches / 2) return fmt::format(">{}", kRunsMax);
  std::nth_element(runs.begin(), runs.begin() + kSearches / 2, runs.end());
  return std::to_string(runs[kSearches / 2]);
}

// Those whose runs a seed alone decides.
std::vector<std::string> sampling_strategies() {
  std::vector<std::string> names;
  for (const NamedStrategy& info : named_strategies()) {
    if (info.campaign_runs > 1 || info.name == "keep-running" || info.name == "round-robin")
      continue;
    names.emplace_back(info.name);
  }
  return names;
}

void print_table() {
  const std::vector<std::string> names = sampling_strategies();
  fmt::print("runs to the first finding, median of {} searches of up to {} runs\n{:<36}", kSearches,
             kRunsMax, "");
  for (const std::string& name : names) fmt::print(" {:>9}", name);
  fmt::print("\n");
  for (const std::string& scenario : searched_scenarios()) {
    const auto configuration = configure(load_scenario(scenario), {});
    const Expectation* expectation = matching_expectation(*configuration);
    if (expectation == nullptr || expectation->verdict == "clean") continue;
    ScenarioWorld world(0, configuration);
    fmt::print("{:<36}", scenario);
    for (const std::string& name : names) {
      fmt::print(" {:>9}", median(world, name));
      std::fflush(stdout);
    }
    fmt::print("\n");
  }
}

}  // namespace
}  // namespace interleaf

int main() {
  interleaf::print_table();
  return 0;
}
