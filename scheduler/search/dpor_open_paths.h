// SPDX-License-Identifier: GPL-2.0-only
// What a DPOR search has left to do and no worker is at: paths that a worker gave away because
// another one has nothing to do, and those of a search that was resumed. Internal to dpor.h.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "scheduler/search/dpor_node.h"

namespace interleaf {

struct DporOpenPath {
  DporPath path;
  // Its last choice was made and is to be run, or it is empty: the run from the start. Else that
  // choice was run, and the path is to be taken back to what is left of it.
  bool chosen = true;
};

// Thread-safe unless it says otherwise.
class DporOpenPaths {
 public:
  // ---- while no worker is at work ----

  void add(DporOpenPath open) { paths_.push_back(std::move(open)); }
  // So many workers begin; each that has nothing of its own calls take().
  void begin(unsigned workers) {
    working_ = workers;
    hungry_ = -static_cast<int>(paths_.size());
    over_ = false;
  }
  // What was given away and not begun is left to whoever comes to its choice: no node waits for it.
  void take_back_choices() {
    for (DporOpenPath& open : paths_) {
      if (!open.chosen || open.path.empty()) continue;
      open.path.back().take_back();
      open.chosen = false;
    }
  }
  const std::vector<DporOpenPath>& left() const { return paths_; }

  // ---- for workers ----

  // Waits until somebody gives something away, and calls `waiting` now and then meanwhile. False if
  // the search is over or stops.
  bool take(DporOpenPath& open, const std::function<void()>& waiting) {
    std::unique_lock lock(mutex_);
    --working_;
    ++hungry_;
    changed_.notify_all();
    while (paths_.empty() && working_ > 0 && !over_) {
      changed_.wait_for(lock, kWait);
      lock.unlock();
      waiting();
      lock.lock();
    }
    if (paths_.empty() || over_) return false;
    ++working_;
    open = std::move(paths_.back());
    paths_.pop_back();
    return true;
  }
  // True if somebody waits and nothing is there for it; then give() must follow. So a path never
  // waits for a worker: others may wait for what its first step does (DporNode::settled).
  bool promise() {
    if (hungry_ <= 0) return false;  // as a rule; the lock would be asked for after every run
    const std::lock_guard lock(mutex_);
    const bool hungry = hungry_ > 0;
    if (hungry) --hungry_;
    return hungry;
  }
  // Nothing, after all, if it is empty.
  void give(DporPath path) {
    const std::lock_guard lock(mutex_);
    if (path.empty()) {
      ++hungry_;
      return;
    }
    paths_.push_back({std::move(path), true});
    changed_.notify_one();
  }
  // Nothing is handed out any more.
  void end() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }

 private:
  static constexpr std::chrono::milliseconds kWait{50};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<DporOpenPath> paths_;
  unsigned working_ = 0;
  std::atomic<int> hungry_ = 0;  // those who wait, less the paths there or promised
  bool over_ = false;
};

}  // namespace interleaf
