// SPDX-License-Identifier: GPL-2.0-only
// A number that several workers add to after every run. Each has a part in a cache line of its own,
// so that none of them waits for the others; who wants to know the total adds the parts up.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace interleaf {

// Thread-safe unless it says otherwise. A total may be a little behind.
class SplitCount {
 public:
  explicit SplitCount(unsigned workers)
      : workers_(workers), parts_(std::make_unique<Part[]>(workers)) {}

  // Sets the total, while no worker is at work.
  void reset(std::uint64_t total) {
    for (unsigned i = 0; i < workers_; ++i) parts_[i].count = i == 0 ? total : 0;
  }
  // By worker `worker` alone, which is less than the number of them. Returns its part.
  std::uint64_t add(unsigned worker, std::uint64_t more) {
    std::atomic<std::uint64_t>& count = parts_[worker].count;
    const std::uint64_t sum = count.load(std::memory_order_relaxed) + more;
    count.store(sum, std::memory_order_relaxed);
    return sum;
  }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < workers_; ++i) sum += parts_[i].count.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct alignas(64) Part {
    std::atomic<std::uint64_t> count = 0;
  };
  unsigned workers_;
  std::unique_ptr<Part[]> parts_;
};

}  // namespace interleaf
