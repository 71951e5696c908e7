// SPDX-License-Identifier: GPL-2.0-only
// What a run of a scenario costs. Compiled once as it is and once without points
// (INTERLEAF_NO_POINTS): the difference of BM_KeepRunning is what scheduler and recording take of
// a run; `./dev bench` prints it. Without points only BM_KeepRunning means anything.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "engine/explore.h"
#include "engine/fuzz.h"
#include "engine/replay.h"
#include "scheduler/search/coverage.h"
#include "tests/bench/resume.h"
#include "tests/bench/scenario_files.h"
#include "tests/searched_scenarios.h"

namespace {

std::uint64_t g_allocations = 0;  // of the heap, by this thread alone while a benchmark runs

}  // namespace

extern "C" void* __libc_malloc(std::size_t bytes);
extern "C" void* malloc(std::size_t bytes) {
  ++g_allocations;
  return __libc_malloc(bytes);
}

namespace interleaf {
namespace {

// The scenario as it ships, and with the fix, where runs are clean.
std::shared_ptr<const Configuration> configured(const char* kernel) {
  Overrides overrides;
  overrides.kernel = kernel;
  return configure(load_scenario("thp-write-open"), overrides);
}

void runs(benchmark::State& state, const char* strategy_name, const char* kernel,
          bool covered = false, const Detectors& detectors = {}) {
  ScenarioWorld world(0, configured(kernel));
  const auto inner = find_strategy(strategy_name)->make();
  Coverage coverage(false);
  const auto watched = watch(*inner, coverage);
  Strategy* strategy = covered ? watched.get() : inner.get();
  measure_resume();
  RunOptions options = world.run_options();
  options.detectors = detectors;
  for (; options.seed < 200; ++options.seed) world.world().run(*strategy, options);
  std::uint64_t steps = 0;
  std::uint64_t switches = 0;
  const std::uint64_t allocations = g_allocations;
  const double start = now_ns();
  for (auto _ : state) {
    const RunResult& result = world.world().run(*strategy, options);
    if (covered) coverage.end_run();
    steps += result.steps;
    switches += result.switches;
    ++options.seed;
  }
  const double ns = now_ns() - start;
  const double count = static_cast<double>(state.iterations());
  state.counters["runs/s"] = count / ns * 1e9;
  state.counters["points"] = static_cast<double>(steps) / count;
  state.counters["switches"] = static_cast<double>(switches) / count;
  state.counters["mallocs"] = static_cast<double>(g_allocations - allocations) / count;
  state.counters["us/run"] = ns / count / 1000;
  if (steps != 0) report_ratio(state, ns / static_cast<double>(steps));
}

void BM_KeepRunning_thp_write_open(benchmark::State& state) {
  runs(state, "keep-running", "6.12.95");
}
BENCHMARK(BM_KeepRunning_thp_write_open);

void BM_Random_thp_write_open(benchmark::State& state) { runs(state, "random", "6.12.95"); }
BENCHMARK(BM_Random_thp_write_open);

void BM_Random_thp_write_open_fixed(benchmark::State& state) { runs(state, "random", "6.12.96"); }
BENCHMARK(BM_Random_thp_write_open_fixed);

// What each detector takes: the default ones switched off, one by one, and data-race switched on.
void BM_Random_thp_write_open_no_lock_order(benchmark::State& state) {
  runs(state, "random", "6.12.95", false, {.lock_order = false});
}
BENCHMARK(BM_Random_thp_write_open_no_lock_order);

void BM_Random_thp_write_open_no_sleep_in_atomic(benchmark::State& state) {
  runs(state, "random", "6.12.95", false, {.sleep_in_atomic = false});
}
BENCHMARK(BM_Random_thp_write_open_no_sleep_in_atomic);

void BM_Random_thp_write_open_data_race(benchmark::State& state) {
  runs(state, "random", "6.12.95", false, {.data_race = true});
}
BENCHMARK(BM_Random_thp_write_open_data_race);

// What the statistics of `fuzz` take of a run that they watch.
void BM_Random_thp_write_open_covered(benchmark::State& state) {
  runs(state, "random", "6.12.95", true);
}
BENCHMARK(BM_Random_thp_write_open_covered);

// Scenarios side by side, as they ship: what a point costs must not depend on which paths it is in.
void BM_Random_scenario(benchmark::State& state, const char* name) {
  ScenarioWorld world(0, configure(load_scenario(name), {}));
  const auto random = find_strategy("random")->make();
  RunOptions options = world.run_options();
  for (; options.seed < 200; ++options.seed) world.world().run(*random, options);
  std::uint64_t steps = 0;
  const double start = now_ns();
  for (auto _ : state) {
    steps += world.world().run(*random, options).steps;
    ++options.seed;
  }
  const double ns = now_ns() - start;
  const double count = static_cast<double>(state.iterations());
  state.counters["runs/s"] = count / ns * 1e9;
  state.counters["points"] = static_cast<double>(steps) / count;
  state.counters["ns/point"] = ns / static_cast<double>(steps);
}
BENCHMARK_CAPTURE(BM_Random_scenario, thp_write_open, "thp-write-open");
BENCHMARK_CAPTURE(BM_Random_scenario, iomap_stale_mapping, "iomap-stale-mapping-zeroes-data");
BENCHMARK_CAPTURE(BM_Random_scenario, zero_range, "zero-range-vs-sync-file-range");

// Traces per second of dynamic partial-order reduction, one worker.
void BM_Dpor_scenario(benchmark::State& state, const char* name) {
  const auto configuration = configure(load_scenario(name), {});
  ExploreOptions options;
  options.unbounded = true;
  options.runs_max = 3'000;
  options.keep_going = true;
  std::uint64_t traces = 0;
  const double start = now_ns();
  for (auto _ : state) traces += explore(configuration, options).search.runs;
  state.counters["traces/s"] = static_cast<double>(traces) / ((now_ns() - start) / 1e9);
}
BENCHMARK_CAPTURE(BM_Dpor_scenario, thp_write_open, "thp-write-open")->Iterations(1);
BENCHMARK_CAPTURE(BM_Dpor_scenario, iomap_stale_mapping, "iomap-stale-mapping-zeroes-data")
    ->Iterations(1);
BENCHMARK_CAPTURE(BM_Dpor_scenario, zero_range, "zero-range-vs-sync-file-range")->Iterations(1);

void BM_Reset_thp_write_open(benchmark::State& state) {
  ScenarioWorld world(0, configured("6.12.95"));
  class Stop final : public Strategy {
    void begin(std::uint64_t) override {}
    TaskId pick(const Scheduler&, TaskMask) override { return kPause; }
    unsigned pick_value(const Scheduler&, const char*, unsigned) override { return 0; }
  } stop;
  measure_resume();
  const double start = now_ns();
  for (auto _ : state) world.world().run(stop, {});
  report_ratio(state, (now_ns() - start) / static_cast<double>(state.iterations()));
  state.counters["bytes"] = static_cast<double>(world.world().arena().used());
}
BENCHMARK(BM_Reset_thp_write_open);

// Orders per second of the search that `explore` and `matrix` make, for every scenario as it ships:
// the first runs of it, one worker. Orders differ in length, so scenarios are not to be compared.
void BM_Orders(benchmark::State& state, const std::string& name) {
  if (!is_searched(name)) {
    state.SkipWithError("not for searches");
    return;
  }
  const auto configuration = configure(load_scenario(name), {});
  ExploreOptions options;
  options.runs_max = 10'000;
  options.keep_going = true;
  options.every_finding = true;
  std::uint64_t orders = 0;
  std::uint64_t runs = 0;
  const double start = now_ns();
  for (auto _ : state) {
    const BoundedResult search = explore(configuration, options).search;
    orders += search.classes;
    runs += search.runs + search.pruned;
  }
  const double seconds = (now_ns() - start) / 1e9;
  state.counters["orders/s"] = static_cast<double>(orders) / seconds;
  state.counters["runs/s"] = static_cast<double>(runs) / seconds;
}

const bool kOrders = [] {
  for (const std::string& name : scenario_files()) {
    benchmark::RegisterBenchmark(("BM_Orders/" + name).c_str(), BM_Orders, name)
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

// Not a time: how large a recording is, as found and with few switches.
void BM_RecordingBytes(benchmark::State& state) {
  FuzzOptions options;
  options.seed_last = 99;
  const auto configuration = configured("6.12.95");
  options.minimize = false;
  const FuzzReport as_found = fuzz(configuration, options, nullptr);
  options.minimize = true;
  const FuzzReport minimised = fuzz(configuration, options, nullptr);
  for (auto _ : state) {
  }
  if (as_found.findings.empty() || minimised.findings.empty()) {
    state.SkipWithError("nothing found");
    return;
  }
  const auto bytes = [](const FuzzReport& report) {
    return static_cast<double>(encode(report.findings.front().recording).size());
  };
  state.counters["as_found"] = bytes(as_found);
  state.counters["minimised"] = bytes(minimised);
}
BENCHMARK(BM_RecordingBytes)->Iterations(1);

}  // namespace
}  // namespace interleaf
