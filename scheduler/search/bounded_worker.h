// SPDX-License-Identifier: GPL-2.0-only
// One worker of the bounded search: takes branches, makes the runs in them depth first with
// snapshots along the way, and gives branches away when another worker has none. Internal to
// bounded.h.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "scheduler/search/bounded.h"
#include "scheduler/search/bounded_tally.h"
#include "scheduler/search/bounded_walk.h"
#include "scheduler/search/branches.h"
#include "scheduler/search/cache_check.h"
#include "scheduler/search/prefix_set.h"
#include "scheduler/search/split_count.h"
#include "scheduler/world.h"

namespace interleaf {

// What the workers of a search share.
struct BoundedShared {
  explicit BoundedShared(const BoundedOptions& o) : options(o), runs(o.jobs), next_bytes(o.jobs) {}

  const BoundedOptions& options;
  PrefixSet seen;
  PrefixSet orders;  // and each with every signature it had
  CacheCheck check;
  Branches branches;
  std::atomic<bool> stop = false;             // after the runs at hand
  std::atomic<const char*> budget = nullptr;  // which one is spent
  std::atomic<bool> hidden = false;           // `check` found something
  SplitCount runs;                            // in all levels, pruned ones included
  SplitCount next_bytes;                      // of the next frontier
  std::atomic<std::uint64_t> frontier_bytes = 0;
  std::mutex ended_mutex;

  std::uint64_t memory() const {
    return seen.bytes() + orders.bytes() + next_bytes.total() + frontier_bytes;
  }
};

// What is wrong with a run, as the options tell findings apart; nothing: it is clean.
std::vector<std::string> signatures_of(const BoundedOptions& options, const RunResult& run);

class BoundedWorker {
 public:
  // Worker `index` of BoundedOptions::jobs. `tick` is called after every run and while waiting.
  BoundedWorker(unsigned index, World& world, BoundedShared& shared, std::function<void()> tick);

  World& world() { return world_; }

  // Does what there is to do in this part of the level; returns when nothing is left or the search
  // stops. What it has begun then is given back. `keeps_later`: there is a next level.
  void work(bool keeps_later);

  // Of the work since the last call.
  BoundedTally take_tally();
  std::vector<Branch> take_next() { return std::move(next_); }

 private:
  struct Saved {
    World::Snapshot world;
    BoundedWalk::Mark walk;
  };

  static constexpr std::size_t kNowhere = ~std::size_t{0};
  // What the segment of a preemption for a task depends on: seen at choice `at` of the branch.
  struct Chain {
    std::size_t at = kNowhere;  // kNowhere: not known
    TaskId preempted = kNoTask;
    Footprint footprint;
  };

  void explore(const Branch& branch);
  void begin_path(const Branch& branch);
  // The preemption for `next` at this choice of the branch leads to nothing but what the one that
  // was looked at last, further along the branch, does.
  bool leads_to_known(std::size_t at, TaskId next);
  // Completes a branch along the path.
  void note_sleeps(Branch& branch) const;
  bool give_one();
  void try_next();
  void run();
  const RunResult& start();
  void save();
  void note(const RunResult& run);
  void note_signatures(const RunResult& run, const std::vector<std::string>& signatures);
  void note_hit(const RunResult& run, const std::string& signature, bool judged);
  void keep_later(std::size_t known);
  void share();
  void give_back();
  void look_at_budget();

  const unsigned index_;
  World& world_;
  BoundedShared& shared_;
  const BoundedOptions& options_;
  std::function<void()> tick_;
  BoundedWalk walk_;
  BoundedTally tally_;
  std::deque<Branch> batch_;  // taken and not begun
  std::vector<Branch> next_;
  Chain chains_[kTasksMax];                 // of the branch at hand
  std::vector<BoundedWalk::Choice> along_;  // of the branch, what its first run showed
  std::size_t kept_ = 0;                    // of it, what the branch before had too
  std::size_t base_end_ = 0;                // snapshots up to there are of the branch
  bool first_run_ = false;
  std::vector<Saved> saved_;  // the first saved_count_, by depth
  std::size_t saved_count_ = 0;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace interleaf
