// SPDX-License-Identifier: GPL-2.0-only
#include "engine/explore_unbounded.h"

#include <algorithm>

#include "scheduler/search/dpor.h"

namespace interleaf {
namespace {

std::vector<std::string> signature_of_order(const RunResult& run) {
  const Finding* gravest = run.verdict();
  if (gravest == nullptr) return {};
  std::string least = gravest->signature();
  for (const Finding& finding : run.findings) {
    if (finding.kind == gravest->kind) least = std::min(least, finding.signature());
  }
  return {least};
}

}  // namespace

BoundedResult explore_unbounded(const WithWorld& with_world, const BoundedOptions& options,
                                double& done) {
  DporOptions dpor;
  dpor.jobs = options.jobs;
  dpor.runs_max = options.runs_max;
  dpor.seconds_max = options.seconds_max;
  dpor.snapshots = options.snapshots;
  dpor.run = options.run;
  dpor.interrupted = options.interrupted;
  dpor.signatures = signature_of_order;
  if (options.progress) {
    dpor.progress = [&](const DporProgress& now) {
      options.progress({.runs = now.runs, .seconds = now.seconds});
    };
  }
  const auto is_known = [&](const std::string& signature) {
    return options.known && options.known(signature);
  };
  dpor.known = is_known;
  dpor.sample_max = options.sample_max;
  dpor.checkpoint = options.checkpoint;
  dpor.checkpoint_seconds = options.checkpoint_seconds;
  dpor.identity = options.identity;
  const DporResult found = explore_dpor(with_world, dpor);

  BoundedResult result;
  result.complete = result.exhausted = found.complete;
  result.classes = found.classes;
  result.runs = found.classes;
  result.pruned = found.redundant;
  result.cut = found.cut;
  result.retry_cuts = found.retry_cuts;
  result.levels = {{found.classes, found.classes, found.redundant, found.cut, found.seconds}};
  result.sample = found.sample;
  result.out_of_budget = found.out_of_budget;
  result.budget = found.budget;
  done = found.done;
  for (const DporFinding& finding : found.findings) {
    if (is_known(finding.signature)) {
      result.known[finding.signature] = finding.count;
    } else {
      result.findings.push_back(
          {finding.signature, finding.preemptions, finding.order, finding.schedule, finding.count});
    }
  }
  std::stable_sort(result.findings.begin(), result.findings.end(),
                   [](const BoundedFinding& a, const BoundedFinding& b) {
                     return a.preemptions < b.preemptions;
                   });
  return result;
}

}  // namespace interleaf
