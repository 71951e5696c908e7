// SPDX-License-Identifier: GPL-2.0-only
// What a scheduling point costs. `ratio` compares with a direct resume of a Boost.Fiber context,
// measured in the same process: absolute figures of a shared machine mean little.
// Names: cntT_N is T tasks that each increment a counter N times, load and store separate;
// bbufT is a bounded buffer of two slots with T tasks that pass four items.
#include <benchmark/benchmark.h>

#include <boost/context/fiber.hpp>
#include <string>

#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/wait_queue.h"
#include "scheduler/world.h"
#include "tests/bench/resume.h"

namespace interleaf {
namespace {

constexpr LockClass kMutex{"mutex"};
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

struct Counter {
  Shared<int> count;
};
template <int kTimes>
void increment(void* counter) {
  auto& c = *static_cast<Counter*>(counter);
  for (int i = 0; i < kTimes; ++i) c.count.store(c.count.load() + 1);
}
template <int kTimes>
void set_up_counting(Scheduler& s, int tasks) {
  auto* counter = new Counter();
  for (int i = 0; i < tasks; ++i) s.spawn("t" + std::to_string(i), &increment<kTimes>, counter);
}

struct Buffer {
  Mutex mutex{kMutex};
  WaitQueue not_full{"room"}, not_empty{"items"};
  Shared<int> count;

  void change(WaitQueue& wait_for, WaitQueue& then_wake, int refused, int delta) {
    mutex.lock();
    while (count.load() == refused) {
      wait_for.prepare_to_wait();
      mutex.unlock();
      wait_for.schedule();
      mutex.lock();
    }
    count.store(count.load() + delta);
    mutex.unlock();
    then_wake.wake_up();
  }
};
template <int kItems>
void produce(void* buffer) {
  auto& b = *static_cast<Buffer*>(buffer);
  for (int i = 0; i < kItems; ++i) b.change(b.not_full, b.not_empty, 2, 1);
}
template <int kItems>
void consume(void* buffer) {
  auto& b = *static_cast<Buffer*>(buffer);
  for (int i = 0; i < kItems; ++i) b.change(b.not_empty, b.not_full, 0, -1);
}

enum Per { kRun, kPoint };

// Runs under a strategy, reported per run or per point, as a ratio to a resume.
void runs(benchmark::State& state, const char* strategy_name, Per per,
          const std::function<void(Scheduler&)>& setup) {
  World world(0, setup);
  const auto strategy = find_strategy(strategy_name)->make();
  measure_resume();
  std::uint64_t seed = 0;
  std::uint64_t steps = 0;
  for (; seed < 2000; ++seed) world.run(*strategy, {.seed = seed});
  const double start = now_ns();
  for (auto _ : state) steps += world.run(*strategy, {.seed = seed++}).steps;
  const double ns = now_ns() - start;
  const double count = static_cast<double>(state.iterations());
  state.counters["runs/s"] = count / ns * 1e9;
  state.counters["points"] = static_cast<double>(steps) / count;
  report_ratio(state, ns / (per == kRun ? count : static_cast<double>(steps)));
}

void BM_PointThatStays(benchmark::State& state) {
  runs(state, "keep-running", kPoint, [](Scheduler& s) { set_up_counting<3333>(s, 3); });
}
BENCHMARK(BM_PointThatStays);

void BM_RandomPoint(benchmark::State& state) {
  runs(state, "random", kPoint, [](Scheduler& s) { set_up_counting<3333>(s, 3); });
}
BENCHMARK(BM_RandomPoint);

void BM_Reset(benchmark::State& state) {
  runs(state, "keep-running", kRun, [](Scheduler& s) { set_up_counting<0>(s, 3); });
}
BENCHMARK(BM_Reset);

void BM_Random_cnt2_4(benchmark::State& state) {
  runs(state, "random", kPoint, [](Scheduler& s) { set_up_counting<4>(s, 2); });
}
BENCHMARK(BM_Random_cnt2_4);

void BM_Random_cnt3_33(benchmark::State& state) {
  runs(state, "random", kPoint, [](Scheduler& s) { set_up_counting<33>(s, 3); });
}
BENCHMARK(BM_Random_cnt3_33);

void BM_Random_bbuf2(benchmark::State& state) {
  runs(state, "random", kPoint, [](Scheduler& s) {
    auto* buffer = new Buffer();
    s.spawn("producer", &produce<4>, buffer);
    s.spawn("consumer", &consume<4>, buffer);
  });
}
BENCHMARK(BM_Random_bbuf2);

void BM_Random_bbuf3(benchmark::State& state) {
  runs(state, "random", kPoint, [](Scheduler& s) {
    auto* buffer = new Buffer();
    s.spawn("producer", &produce<4>, buffer);
    s.spawn("consumer", &consume<2>, buffer);
    s.spawn("consumer", &consume<2>, buffer);
  });
}
BENCHMARK(BM_Random_bbuf3);

}  // namespace
}  // namespace interleaf
