// SPDX-License-Identifier: GPL-2.0-only
// One worker of a DPOR search: runs what a path has left to try until nothing is, then takes
// another one. Internal to dpor.h. Belongs to its thread; DporShared is what all workers use.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "scheduler/search/bounded_tally.h"
#include "scheduler/search/dpor.h"
#include "scheduler/search/dpor_open_paths.h"
#include "scheduler/search/dpor_walk.h"
#include "scheduler/search/split_count.h"

namespace interleaf {

struct DporShared {
  explicit DporShared(const DporOptions& of) : options(of), runs(of.jobs) {}

  const DporOptions& options;
  SplitCount runs;
  std::atomic<bool> stop = false;  // workers return after the run at hand
  DporOpenPaths open;
  // Written while others look at what is above: not in their cache lines.
  alignas(64) std::mutex tree;  // nodes that several workers have
  std::mutex ended;

  // Nothing is handed out any more once a worker sees `stop`: it would lose the path that it has.
  void stop_workers() {
    open.end();
    stop = true;
  }
};

class DporWorker {
 public:
  // Worker `index` of DporOptions::jobs. `tick` is called after every run and while there is
  // nothing to do.
  DporWorker(unsigned index, World& world, DporShared& shared, std::function<void()> tick);

  // Until the search is over or stops. May be called again after a stop.
  void work();

  // What was left of its path at a stop: the last choice was run.
  const DporWalk& walk() const { return walk_; }
  // What its runs came to since the last call.
  BoundedTally take_tally();
  std::size_t snapshot_bytes() const { return snapshot_bytes_; }

 private:
  struct Saved {
    World::Snapshot world;
    DporWalk::Mark walk;
  };

  bool take_path();
  void run();
  const RunResult* start();
  void save();
  void drop_snapshot();
  void note(const RunResult& run);

  const unsigned index_;
  World& world_;
  DporShared& shared_;
  const std::function<void()> tick_;
  const std::function<bool()> stops_;
  DporWalk walk_;
  BoundedTally tally_;
  std::vector<Saved> saved_;  // the first saved_count_, by depth
  std::size_t saved_count_ = 0;
  std::size_t held_ = 0;
  std::size_t snapshot_bytes_ = 0;
};

// What a run found, each once, in order.
std::vector<std::string> dpor_signatures(const DporOptions& options, const RunResult& run);

}  // namespace interleaf
