// SPDX-License-Identifier: GPL-2.0-only
// What the tests of the scheduler share: tasks from lambdas, sweeps over seeds, pauses.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "scheduler/frame.h"
#include "scheduler/prng.h"
#include "scheduler/strategy.h"
#include "scheduler/world.h"

namespace interleaf {

// Adds a task that calls body(state). `body` captures nothing.
template <typename State, typename Body>
TaskId add_task(Scheduler& s, const char* name, State* state, Body, bool daemon = false) {
  return s.spawn(
      name, [](void* p) { Body{}(*static_cast<State*>(p)); }, state, daemon);
}

// A finding in a line: signature, step, task; then message and details.
inline std::string text_of(const RunResult& result) {
  std::string text;
  for (const Finding& f : result.findings) {
    text += f.signature() + " @" + std::to_string(f.step) + ' ' + f.task_name + '\n';
    text += "  " + f.message + '\n';
    for (const std::string& line : f.details) text += "  - " + line + '\n';
  }
  return text;
}

// One World of a `State` whose constructor gets the Scheduler and adds the tasks.
template <typename State>
class Program {
 public:
  Program() : world_(0, [](Scheduler& s) { s.set_root(new State(s)); }) {}

  World& world() { return world_; }
  State& state() { return *static_cast<State*>(world_.scheduler().root()); }

  const RunResult& run(Strategy& strategy, RunOptions options = {}) {
    return world_.run(strategy, options);
  }
  const RunResult& run_random(std::uint64_t seed) { return run(*random_, {.seed = seed}); }
  // Tasks as long as they can, the lowest id first.
  const RunResult& run_straight(RunOptions options = {}) { return run(*straight_, options); }
  // Functions in the order in which they must be entered.
  const RunResult& run_table(std::vector<Row> rows) {
    const auto table = make_table(std::move(rows));
    const RunResult& result = run(*table);
    EXPECT_FALSE(table->stuck());
    EXPECT_EQ(table->satisfied(), table->rows().size());
    return result;
  }

  // Calls each(result) after every one of `seeds` random runs; all must be clean.
  template <typename Each>
  void expect_clean(std::uint64_t seeds, Each each) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      const RunResult& result = run_random(seed);
      ASSERT_TRUE(result.clean()) << "seed " << seed << ": " << result.findings[0].message;
      ASSERT_EQ(result.end, RunEnd::kFinished) << "seed " << seed;
      each(result);
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
  }

 private:
  World world_;
  std::unique_ptr<Strategy> random_ = make_random();
  std::unique_ptr<Strategy> straight_ = make_keep_running();
};

// Like random, but a function of the seed and the number of the choice alone, so that it goes on
// alike after a restore. Pauses once before each choice that was asked for with pause_at().
class Pausing final : public Strategy {
 public:
  static constexpr std::size_t kNever = ~std::size_t{0};

  void begin(std::uint64_t seed) override { seed_ = seed; }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    if (s.choices() == pause_at_) {
      pause_at_ = kNever;
      return kPause;
    }
    for (unsigned skip = draw(s, static_cast<unsigned>(std::popcount(runnable))); skip > 0;
         --skip) {
      runnable &= runnable - 1;
    }
    return static_cast<TaskId>(std::countr_zero(runnable));
  }
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    return draw(s, count);
  }
  void pause_at(std::size_t choice) { pause_at_ = choice; }

 private:
  unsigned draw(const Scheduler& s, unsigned count) const {
    std::uint64_t state = seed_ * 0x10001 + s.choices();
    return static_cast<unsigned>(split_mix(state) % count);
  }

  std::uint64_t seed_ = 0;
  std::size_t pause_at_ = kNever;
};

}  // namespace interleaf
