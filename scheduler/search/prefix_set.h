// SPDX-License-Identifier: GPL-2.0-only
// A set of hashes that several threads add to: who adds one first has claimed it. Split by hash
// into shards, each with a lock and an open-addressed table of its own that grows by a quarter, so
// that growing never needs much more memory than the set has already: 16 / 0.75 to 16 / 0.6 bytes
// per hash.
//
// Thread-safe but for for_each(); while others insert, size() and bytes() may be a little behind.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "scheduler/search/order_hash.h"

namespace interleaf {

class PrefixSet {
 public:
  PrefixSet() : shards_(std::make_unique<Shard[]>(kShards)) {}

  // True if it is new.
  bool insert(Hash128 key);
  std::uint64_t size() const;
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  template <typename Each>
  void for_each(Each each) const {
    for (unsigned i = 0; i < kShards; ++i) {
      for (const Bucket& bucket : shards_[i].buckets) {
        for (const Hash128& key : bucket.places) {
          if (key != Hash128{}) each(key);
        }
      }
    }
  }

 private:
  // Many, since one that grows holds up whoever comes to it.
  static constexpr unsigned kShards = 1024;

  // A cache line: what a look-up costs is the lines that it touches.
  struct alignas(64) Bucket {
    Hash128 places[4];  // {} is a free one
  };
  struct Buckets {
    std::unique_ptr<Bucket[]> data;
    std::size_t size = 0;
    const Bucket* begin() const { return data.get(); }
    const Bucket* end() const { return data.get() + size; }
  };
  // A cache line as well.
  struct alignas(64) Shard {
    std::mutex mutex;
    Buckets buckets;
    std::atomic<std::uint64_t> count = 0;  // written with the lock held
  };
  static Hash128& place_of(const Buckets& buckets, const Hash128& key);
  void grow(Shard& shard);

  std::unique_ptr<Shard[]> shards_;
  std::atomic<std::uint64_t> bytes_ = 0;
};

}  // namespace interleaf
