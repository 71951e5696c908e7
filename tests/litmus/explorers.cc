// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/explorers.h"

#include "scheduler/search/bounded.h"
#include "scheduler/search/dpor.h"
#include "tests/litmus/brute_force.h"

namespace interleaf {
namespace {

// The signatures of a run in a line each.
std::string joined(const RunResult& run) {
  std::string text;
  for (const std::string& signature : signatures_of(run)) text += signature + '\n';
  return text;
}

Explored bounded(World& world, BoundedOptions options, const RunOptions& run) {
  Explored explored;
  options.preemptions_max = BoundedOptions::kUnbounded;
  options.run = run;
  options.signature = joined;
  options.ended = [&](const RunResult&, const Hash128& order) { explored.classes.insert(order); };
  const BoundedResult result = explore_bounded(world, options);
  explored.complete = result.complete && result.exhausted;
  explored.runs = result.runs;
  explored.hidden_dependence = result.hidden_dependence;
  for (const BoundedFinding& finding : result.findings) {
    for (std::size_t at = 0; at < finding.signature.size();) {
      const std::size_t end = finding.signature.find('\n', at);
      explored.signatures.insert(finding.signature.substr(at, end - at));
      at = end + 1;
    }
  }
  return explored;
}

Explored bounded_with_snapshots(World& world, const RunOptions& run) {
  return bounded(world, {}, run);
}
Explored bounded_verifying(World& world, const RunOptions& run) {
  return bounded(world, {.snapshots = false, .verify_cache = true}, run);
}

Explored dpor(World& world, DporOptions options, const RunOptions& run) {
  Explored explored;
  options.run = run;
  options.signatures = [](const RunResult& ended) {
    const std::set<std::string> signatures = signatures_of(ended);
    return std::vector<std::string>(signatures.begin(), signatures.end());
  };
  options.ended = [&](const RunResult&, const Hash128& order) { explored.classes.insert(order); };
  const DporResult result = explore_dpor(world, options);
  explored.complete = result.complete;
  explored.runs = result.classes;
  for (const DporFinding& finding : result.findings) explored.signatures.insert(finding.signature);
  return explored;
}

Explored dpor_with_snapshots(World& world, const RunOptions& run) { return dpor(world, {}, run); }
Explored dpor_rerunning(World& world, const RunOptions& run) {
  return dpor(world, {.snapshots = false}, run);
}

constexpr Explorer kExplorers[] = {
    {"bounded", &bounded_with_snapshots, Scale::kPrefixes},
    {"bounded, verifying, without snapshots", &bounded_verifying, Scale::kSmallPrograms},
    {"dpor", &dpor_with_snapshots, Scale::kClasses},
    {"dpor without snapshots", &dpor_rerunning, Scale::kClasses},
};

}  // namespace

std::span<const Explorer> explorers() { return kExplorers; }

}  // namespace interleaf
