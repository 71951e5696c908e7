// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/branches.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

namespace interleaf {

std::uint64_t Branch::bytes() const {
  constexpr std::uint64_t kAllocations = 32;
  return sizeof(Branch) + schedule.capacity() + at.capacity() * sizeof(At) +
         sleeps.capacity() * sizeof(sleeps[0]) + kAllocations;
}

void Branches::begin_level(std::vector<Branch> frontier) {
  frontier_ = std::move(frontier);
  given_.clear();
  std::uint64_t choices = 0;
  for (const Branch& branch : frontier_) choices += branch.at.size();
  choices_left_ = choices;
}

void Branches::begin_parts(unsigned first, unsigned last) {
  next_ = 0;
  idle_ = 0;
  first_part_ = first;
  last_part_ = last;
}

bool Branches::take_from_frontier(Branch& branch) {
  while (next_ < frontier_.size()) {
    Branch& along = frontier_[next_++];
    branch.at.clear();
    branch.sleeps = along.sleeps;
    for (const Branch::At& at : along.at) {
      if (at.part >= first_part_ && at.part <= last_part_) branch.at.push_back(at);
    }
    if (branch.at.empty()) continue;
    choices_left_ -= branch.at.size();
    branch.schedule.assign(along.schedule.begin(),
                           along.schedule.begin() + branch.at.back().choice + 1);
    // Nothing of a run that is done with is kept.
    if (along.at.size() == branch.at.size()) {
      along = {};
    } else {
      std::erase_if(along.at, [&](const Branch::At& at) {
        return at.part >= first_part_ && at.part <= last_part_;
      });
    }
    return true;
  }
  return false;
}

bool Branches::take_from_frontier(std::deque<Branch>& batch, unsigned workers) {
  // Two at least: who has one looks at the next.
  const std::size_t share = (frontier_.size() - next_) / (4 * workers);
  const std::size_t wanted = std::clamp<std::size_t>(share, workers == 1 ? 2 : 1, kBatchMax);
  while (batch.size() < wanted) {
    Branch branch;
    if (!take_from_frontier(branch)) break;
    batch.push_back(std::move(branch));
  }
  return !batch.empty();
}

bool Branches::take(std::deque<Branch>& batch, unsigned workers, const std::atomic<bool>& stop,
                    const std::function<void()>& waiting) {
  std::unique_lock lock(mutex_);
  ++idle_;
  for (;;) {
    if (stop) break;
    if (!given_.empty()) {
      batch.push_back(std::move(given_.back()));
      given_.pop_back();
      --idle_;
      hungry_ = given_.empty() && idle_ > 0;
      return true;
    }
    if (take_from_frontier(batch, workers)) {
      --idle_;
      return true;
    }
    if (idle_ == workers) break;
    hungry_ = true;
    changed_.wait_for(lock, std::chrono::milliseconds(50));
    lock.unlock();
    waiting();
    lock.lock();
  }
  changed_.notify_all();
  hungry_ = false;
  return false;
}

void Branches::give(Branch branch) {
  const std::lock_guard lock(mutex_);
  given_.push_back(std::move(branch));
  hungry_ = false;
  changed_.notify_one();
}

}  // namespace interleaf
