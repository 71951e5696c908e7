// SPDX-License-Identifier: GPL-2.0-only
// From a run to what is kept of it: its trace, its landmarks, its recording.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/recording.h"
#include "engine/strategies.h"
#include "engine/trace.h"
#include "engine/world.h"

namespace interleaf {

struct TracedRun {
  RunResult result;
  Trace trace;
};

// One run with its whole trace; `named`: see Trace. A strategy that learns is told of its end.
TracedRun run_traced(ScenarioWorld& world, Strategy& strategy, std::uint64_t seed,
                     bool named = false);

// What a run is attributed to in its recording.
struct Origin {
  std::string strategy;
  std::uint64_t seed = 0;
  std::string note;
};

// "clean", or the name of the gravest finding's kind.
std::string verdict_of(const RunResult& result);
// Of the gravest finding; empty if clean.
std::string signature_of(const RunResult& result);

Recording make_recording(const Configuration& configuration, const TracedRun& run,
                         const Origin& origin);

// The switches of a run that the keep-running policy would not have made, with what they happened
// at: the access that the task left was about to make ("end": none any more; "-": the run began).
std::vector<Recording::Switch> switches_of(const Trace& trace);

// The windows (Scenario::window) that this run reached, in the scenario's order.
std::vector<bool> windows_reached(const Scenario& scenario, const Trace& trace);

// A window as the scenario names it: "task:function#2".
std::string window_text(const WindowSpec& window);

// 16 hexadecimal digits.
std::string digest_text(std::uint64_t digest);

}  // namespace interleaf
