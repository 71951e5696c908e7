// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fuzz_statistics.h"

#include <algorithm>

namespace interleaf {

RunNote note_of(const Strategy& strategy, std::string_view name) {
  RunNote note;
  note.strategy = name;
  if (const auto* portfolio = dynamic_cast<const PortfolioStrategy*>(&strategy)) {
    note.strategy = portfolio->chosen();
  }
  if (const auto* source = dynamic_cast<const PctSource*>(&strategy)) note.pct = source->pct_run();
  return note;
}

bool draws_from_seed(std::string_view strategy) {
  return strategy != "keep-running" && strategy != "round-robin";
}

void StrategyRuns::add(const RunNote& note) {
  ++runs;
  if (note.found) ++found;
  if (note.order) orders.add(*note.order);
  if (!note.pct) return;
  const PctRun& run = *note.pct;
  if (!pct) {
    pct.emplace();
    pct->decisions_assumed_min = run.decisions_assumed;
  }
  ++pct->by_depth[run.depth];
  pct->decisions_max = std::max(pct->decisions_max, run.decisions);
  pct->decisions_assumed_min = std::min(pct->decisions_assumed_min, run.decisions_assumed);
  pct->decisions_assumed_max = std::max(pct->decisions_assumed_max, run.decisions_assumed);
  if (run.bent) ++pct->bent;
}

void FuzzStatistics::add(const RunNote& note) {
  const auto at = strategies.find(note.strategy);
  (at != strategies.end() ? at->second : strategies[std::string(note.strategy)]).add(note);
  if (!note.order) return;
  ++watched;
  for (const std::uint64_t handoff : note.handoffs) {
    if (!seen_.insert(handoff).second) continue;
    ++handoffs;
    handoff_last_new = watched;
  }
}

}  // namespace interleaf
