// SPDX-License-Identifier: GPL-2.0-only
// Time to exhaust the litmus programs by DPOR. `ratio` is the time of one trace in resumes of a
// Boost.Fiber context measured in the same process; `redundant` the share of runs that were left
// because everything was covered. `rerun` does without snapshots: every prefix again. `+15ns`
// stands for code that takes that long between two steps, measured here.
#include <benchmark/benchmark.h>

#include "scheduler/search/dpor.h"
#include "tests/bench/resume.h"
#include "tests/litmus/buffers.h"
#include "tests/litmus/classics.h"
#include "tests/litmus/counters.h"
#include "tests/litmus/programs.h"

namespace interleaf {
namespace {

struct Row {
  LitmusProgram program;
  std::uint64_t traces;  // known; 0: not
};

// Rounds of spread3_working()'s loop that take `ns`.
unsigned rounds_for(double ns) {
  constexpr unsigned kRounds = 10'000'000;
  const double start = now_ns();
  for (unsigned i = 0; i < kRounds; ++i) asm volatile("" : : "r"(i) : "memory");
  return static_cast<unsigned>(ns * kRounds / (now_ns() - start));
}

void explore(benchmark::State& state, const Row& row, bool snapshots) {
  World world(0, row.program.setup);
  measure_resume();
  DporResult result;
  const double start = now_ns();
  for (auto _ : state) result = explore_dpor(world, {.snapshots = snapshots});
  const double ns = now_ns() - start;
  if (!result.complete || (row.traces != 0 && result.classes != row.traces)) {
    state.SkipWithError("wrong number of traces");
    return;
  }
  const auto classes = static_cast<double>(result.classes);
  const double per_trace = ns / static_cast<double>(state.iterations()) / classes;
  state.counters["traces"] = classes;
  state.counters["traces/s"] = 1e9 / per_trace;
  state.counters["redundant"] = static_cast<double>(result.redundant) / classes;
  state.counters["KiB"] = static_cast<double>(result.snapshot_bytes) / 1024;
  state.counters["events"] = static_cast<double>(result.events) / classes;
  state.counters["replayed"] = static_cast<double>(result.replayed) / classes;
  report_ratio(state, per_trace);
}

void add(const std::string& name, const Row& row) {
  for (const bool snapshots : {true, false}) {
    benchmark::RegisterBenchmark(
        ("Dpor/" + name + (snapshots ? "" : "/rerun")).c_str(),
        [row, snapshots](benchmark::State& state) { explore(state, row, snapshots); })
        ->MinTime(0.1);
  }
}

const bool g_registered = [] {
  const Row kRows[] = {
      {cnt(2, 5), 34'904},   {cnt(2, 6), 372'436},    {cnt(3, 2), 7'134},      {long3(2), 7'134},
      {spread3(2), 7'134},   {readers(13), 8'192},    {lastzero(10), 3'328},   {indexer(15), 4'096},
      {filesystem(20), 128}, {lockcnt(2, 8), 12'870}, {lockcnt(3, 4), 34'650}, {bbuf2(), 0},
      {bbuf3(), 0},
  };
  for (const Row& row : kRows) add(row.program.name, row);
  for (const unsigned ns : {15, 120}) {
    add("spread3_2+" + std::to_string(ns) + "ns", {spread3_working(2, rounds_for(ns)), 7'134});
  }
  return true;
}();

}  // namespace
}  // namespace interleaf
