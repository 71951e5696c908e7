// SPDX-License-Identifier: GPL-2.0-only
// What a second worker is worth to the bounded search: wall time, and the CPU time of the whole
// process, which says what of the difference is work and what is waiting for the machine.
#include <benchmark/benchmark.h>
#include <time.h>

#include <string>

#include "engine/explore.h"
#include "tests/bench/resume.h"
#include "tests/bench/scenario_files.h"
#include "tests/litmus/counters.h"

namespace interleaf {
namespace {

double clock_ms(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

template <typename Search>
void searches(benchmark::State& state, Search search) {
  const double wall = clock_ms(CLOCK_MONOTONIC);
  const double cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
  BoundedResult result;
  for (auto _ : state) result = search(static_cast<unsigned>(state.range(0)));
  const auto count = static_cast<double>(state.iterations());
  if (!result.complete) {
    state.SkipWithError("not complete");
    return;
  }
  state.counters["wall_ms"] = (clock_ms(CLOCK_MONOTONIC) - wall) / count;
  state.counters["cpu_ms"] = (clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu) / count;
  state.counters["runs"] = static_cast<double>(result.runs + result.pruned);
  state.counters["orders"] = static_cast<double>(result.classes);
}

void BM_Bounded_cnt3_5(benchmark::State& state) {
  const LitmusProgram program = cnt(3, 5);
  const WithWorld with_world = [&](unsigned slot, const std::function<void(World&)>& work) {
    World world(slot, program.setup);
    work(world);
  };
  searches(state, [&](unsigned jobs) {
    BoundedOptions options;
    options.preemptions_max = 3;
    options.jobs = jobs;
    return explore_bounded(with_world, options);
  });
}
BENCHMARK(BM_Bounded_cnt3_5)->Arg(1)->Arg(2)->UseRealTime();

void BM_Bounded_control(benchmark::State& state) {
  const auto configuration = configure(load_scenario("control"), {});
  searches(state, [&](unsigned jobs) {
    ExploreOptions options;
    options.preemptions_max = 1;
    options.jobs = jobs;
    options.keep_going = true;
    return explore(configuration, options).search;
  });
}
BENCHMARK(BM_Bounded_control)->Arg(1)->Arg(2)->UseRealTime()->Iterations(1);

// Orders per second of CPU time in the scenarios of the matrix, one worker.
void BM_Bounded_scenario(benchmark::State& state, const std::string& name) {
  const auto configuration = configure(load_scenario(name), {});
  searches(state, [&](unsigned jobs) {
    ExploreOptions options;
    options.preemptions_max = 1;
    options.jobs = jobs;
    options.keep_going = true;
    return explore(configuration, options).search;
  });
  state.counters["orders_per_cpu_s"] =
      state.counters["orders"].value / state.counters["cpu_ms"].value * 1e3;
}

const bool kScenarios = [] {
  for (const std::string& name : scenario_files()) {
    if (!name.starts_with("thp-small-")) continue;
    benchmark::RegisterBenchmark(("BM_Bounded_scenario/" + name).c_str(), BM_Bounded_scenario, name)
        ->Arg(1)
        ->UseRealTime()
        ->Iterations(1);
  }
  return true;
}();

}  // namespace
}  // namespace interleaf
