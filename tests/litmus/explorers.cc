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
Explored bounded_rerunning(World& world, const RunOptions& run) {
  return bounded(world, {.snapshots = false}, run);
}

Explored dpor(World& world, DporOptions options, const RunOptions& run) {
  Explored explored;
  options.run = run;
  options.hash_orders = true;
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
    {"bounded", &bounded_with_snapshots, false},
    {"bounded without snapshots", &bounded_rerunning, false},
    {"dpor", &dpor_with_snapshots, true},
    {"dpor without snapshots", &dpor_rerunning, true},
};

}  // namespace

std::span<const Explorer> explorers() { return kExplorers; }

}  // namespace interleaf
