// SPDX-License-Identifier: GPL-2.0-only
// One World runs one program again and again: an arena at a fixed address, the fibers in it, and
// the scheduler. The program is set up once; every run starts from a copy of that state, so a run
// is repeatable to the address and leaves nothing behind. Between points, a paused run can be
// saved, continued, and restored as often as wanted.
//
// Belongs to the OS thread that made it. Two Worlds that live at the same time need two slots.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "scheduler/arena.h"
#include "scheduler/fiber.h"
#include "scheduler/scheduler.h"

namespace interleaf {

struct RunOptions {
  std::uint64_t seed = 0;
  std::uint64_t steps_max = 1'000'000;  // reaching it is the verdict livelock
  // How often a task may repeat a polling loop in vain (Scheduler::relax): one that would do so
  // once more is left there, as if it were never chosen again, and the others go on. 0: no limit.
  std::uint32_t retries_max = 0;
  Observer* observer = nullptr;
  Detectors detectors;
};

// What one run came to. The schedule replays it.
struct RunResult {
  RunEnd end = RunEnd::kFinished;
  std::uint64_t steps = 0;
  std::uint64_t switches = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t digest = 0;
  Schedule schedule;
  std::vector<Finding> findings;  // in order of occurrence
  TaskMask left = 0;  // tasks left in a loop that could go on, by RunOptions::retries_max

  bool clean() const { return findings.empty(); }
  // The gravest finding (see FindingKind), the earliest of equals; null if clean.
  const Finding* verdict() const;
};

class World {
 public:
  // `setup` runs once, with the arena as operator new's memory; it creates the shared objects and
  // spawns the tasks. Throws what setup throws.
  World(unsigned slot, const std::function<void(Scheduler&)>& setup);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // One run from the start to its end, or to where the strategy pauses it (RunEnd::kPaused). The
  // reference stays valid until the next start; nothing is allocated in steady state. While the
  // run is paused and has no finding, the schedule need not be there.
  const RunResult& run(Strategy& strategy, const RunOptions& options);
  // Goes on with a run whose end was kPaused.
  const RunResult& resume(Strategy& strategy);

  // The state of a paused run, to be restored into this World.
  struct Snapshot {
    Image arena;
    Image stacks;  // of the fibers, and what else lies outside the arena
    Schedule schedule;
    std::vector<Finding> findings;
    DataRace::State races;  // empty unless the run looks for data races
  };
  void save(Snapshot& snapshot) const;
  void restore(const Snapshot& snapshot);

  Scheduler& scheduler() { return *scheduler_; }
  const Scheduler& scheduler() const { return *scheduler_; }
  const Arena& arena() const { return arena_; }

 private:
  const RunResult& go(Strategy& strategy);
  void load(const Snapshot& snapshot);
  void prime();

  Arena arena_;
  Scheduler* scheduler_ = nullptr;
  std::unique_ptr<FiberPool> fibers_;
  Snapshot parked_;  // every worker before its task began
  Snapshot boot_;    // every task stopped at its first point
  DataRace races_;
  const std::unique_ptr<Scheduler::Outside> outside_;
  RunResult result_;
};

}  // namespace interleaf
