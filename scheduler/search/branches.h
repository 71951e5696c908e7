// SPDX-License-Identifier: GPL-2.0-only
// What a level of the bounded search has to do, handed out to workers: branches of the frontier
// that the level before left, part by part, and what a worker gives away because another one has
// nothing to do or because the search pauses. Thread-safe unless it says otherwise.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "scheduler/strategy.h"

namespace interleaf {

// Choices that are yet to be made along one run. Without any: the run itself, from the start.
struct Branch {
  struct At {
    std::uint32_t choice;  // index in `schedule`
    std::uint8_t part;     // of the level; see level_part()
    bool alone;            // BoundedWalk::Choice::alone
    TaskMask todo;         // tasks, or values of a data choice, to try instead
  };
  Schedule schedule;  // at least up to the last of `at`
  std::vector<At> at;
  std::vector<std::uint32_t> sleeps;  // choices of `schedule` with BoundedWalk::Choice::sleeps

  std::uint64_t bytes() const;  // about
};

class Branches {
 public:
  // ---- while no worker is at work ----

  // A level begins with this frontier.
  void begin_level(std::vector<Branch> frontier);
  // take() hands out those of the frontier that are in parts `first` to `last`.
  void begin_parts(unsigned first, unsigned last);
  // The rest of the level, to be looked at: what was given and not taken, and what was not handed
  // out. Branches of the latter without choices are done with.
  void lend(std::vector<Branch>& given, std::vector<Branch>& frontier) {
    given.swap(given_);
    frontier.swap(frontier_);
  }
  void take_back(std::vector<Branch>& given, std::vector<Branch>& frontier) {
    lend(given, frontier);
  }
  // Of the frontier, those not handed out yet.
  std::uint64_t choices_left() const { return choices_left_; }

  // ---- for workers ----

  // Appends what to do next to `batch`: one branch that was given, or some of the frontier, so that
  // workers seldom meet here; near its end fewer. False if there is nothing left to do, or the
  // search stops. Waits while others may still give something away; calls `waiting` now and then
  // meanwhile.
  bool take(std::deque<Branch>& batch, unsigned workers, const std::atomic<bool>& stop,
            const std::function<void()>& waiting);
  void give(Branch branch);
  // Somebody waits, and there is nothing for them.
  bool hungry() const { return hungry_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kBatchMax = 16;

  bool take_from_frontier(Branch& branch);
  bool take_from_frontier(std::deque<Branch>& batch, unsigned workers);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Branch> frontier_;
  std::size_t next_ = 0;  // in frontier_
  unsigned first_part_ = 0, last_part_ = 0;
  std::vector<Branch> given_;
  unsigned idle_ = 0;
  std::atomic<std::uint64_t> choices_left_ = 0;
  std::atomic<bool> hungry_ = false;
};

}  // namespace interleaf
