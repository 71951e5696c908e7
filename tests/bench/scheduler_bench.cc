// SPDX-License-Identifier: GPL-2.0-only
// What a scheduling point costs. `ratio` compares with a direct resume of a Boost.Fiber context,
// measured in the same process: absolute figures of a shared machine mean little.
// The programs are those of tests/litmus/.
#include <benchmark/benchmark.h>

#include <boost/context/fiber.hpp>
#include <memory>
#include <vector>

#include "scheduler/world.h"
#include "tests/bench/resume.h"
#include "tests/litmus/buffers.h"
#include "tests/litmus/counters.h"

namespace interleaf {
namespace {

void BM_ContextFiberResume(benchmark::State& state) {
  namespace ctx = boost::context;
  ctx::fiber other([](ctx::fiber&& back) {
    for (;;) back = std::move(back).resume();
    return std::move(back);
  });
  const double start = now_ns();
  for (auto _ : state) other = std::move(other).resume();
  state.counters["ns"] = (now_ns() - start) / static_cast<double>(2 * state.iterations());
}
BENCHMARK(BM_ContextFiberResume);

void BM_DirectResume(benchmark::State& state) {
  double ns = 0;
  for (auto _ : state) ns = measure_resume();
  report_ratio(state, ns);
}
BENCHMARK(BM_DirectResume);

enum Per { kRun, kPoint };

// Runs under a strategy, reported per run or per point, as a ratio to a resume.
void runs(benchmark::State& state, const char* strategy_name, Per per, const LitmusProgram& program,
          const Detectors& detectors = {}) {
  World world(0, program.setup);
  const auto strategy = find_strategy(strategy_name)->make();
  measure_resume();
  RunOptions options;
  options.detectors = detectors;
  std::uint64_t steps = 0;
  for (; options.seed < 2000; ++options.seed) world.run(*strategy, options);
  const double start = now_ns();
  for (auto _ : state) {
    steps += world.run(*strategy, options).steps;
    ++options.seed;
  }
  const double ns = now_ns() - start;
  const double count = static_cast<double>(state.iterations());
  state.counters["runs/s"] = count / ns * 1e9;
  state.counters["points"] = static_cast<double>(steps) / count;
  report_ratio(state, ns / (per == kRun ? count : static_cast<double>(steps)));
}

// The runs of a strategy's first seeds again, from their schedules.
void replays(benchmark::State& state, const char* strategy_name, const LitmusProgram& program) {
  constexpr unsigned kRecorded = 64;
  World world(0, program.setup);
  const auto strategy = find_strategy(strategy_name)->make();
  measure_resume();
  std::vector<std::unique_ptr<ReplayStrategy>> recorded;
  for (unsigned seed = 0; seed < kRecorded; ++seed) {
    recorded.push_back(make_replay(world.run(*strategy, {.seed = seed}).schedule));
  }
  for (const auto& replay : recorded) world.run(*replay, {});
  std::uint64_t steps = 0;
  unsigned next = 0;
  const double start = now_ns();
  for (auto _ : state) steps += world.run(*recorded[next++ % kRecorded], {}).steps;
  const double ns = now_ns() - start;
  state.counters["runs/s"] = static_cast<double>(state.iterations()) / ns * 1e9;
  state.counters["points"] = static_cast<double>(steps) / static_cast<double>(state.iterations());
  report_ratio(state, ns / static_cast<double>(steps));
}

void BM_PointThatStays(benchmark::State& state) {
  runs(state, "keep-running", kPoint, cnt(3, 3333));
}
BENCHMARK(BM_PointThatStays);

void BM_RandomPoint(benchmark::State& state) { runs(state, "random", kPoint, cnt(3, 3333)); }
BENCHMARK(BM_RandomPoint);

void BM_Reset(benchmark::State& state) { runs(state, "keep-running", kRun, cnt(3, 0)); }
BENCHMARK(BM_Reset);

void BM_Random_cnt2_4(benchmark::State& state) { runs(state, "random", kPoint, cnt(2, 4)); }
BENCHMARK(BM_Random_cnt2_4);

void BM_Random_cnt3_33(benchmark::State& state) { runs(state, "random", kPoint, cnt(3, 33)); }
BENCHMARK(BM_Random_cnt3_33);

void BM_Random_cnt3_33_data_race(benchmark::State& state) {
  runs(state, "random", kPoint, cnt(3, 33), {.data_race = true});
}
BENCHMARK(BM_Random_cnt3_33_data_race);

void BM_ReplayRandom_cnt3_33(benchmark::State& state) { replays(state, "random", cnt(3, 33)); }
BENCHMARK(BM_ReplayRandom_cnt3_33);

void BM_Pct_cnt3_33(benchmark::State& state) { runs(state, "pct", kRun, cnt(3, 33)); }
BENCHMARK(BM_Pct_cnt3_33);

void BM_Random_bbuf2(benchmark::State& state) { runs(state, "random", kPoint, bbuf2()); }
BENCHMARK(BM_Random_bbuf2);

void BM_Random_bbuf3(benchmark::State& state) { runs(state, "random", kPoint, bbuf3()); }
BENCHMARK(BM_Random_bbuf3);

}  // namespace
}  // namespace interleaf
