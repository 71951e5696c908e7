// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/prefix_set.h"

#include <utility>

namespace interleaf {
namespace {

// The upper half of a product: a hash as a place in [0, count).
std::size_t scaled(std::uint64_t hash, std::size_t count) {
  return static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * count) >> 64);
}

}  // namespace

bool PrefixSet::insert(Hash128 key) {
  if (key == Hash128{}) key.low = 1;
  Shard& shard = shards_[key.high % kShards];
  const std::lock_guard lock(shard.mutex);
  if (shard.count + 1 > 3 * shard.buckets.size) grow(shard);
  Hash128& place = place_of(shard.buckets, key);
  if (place == key) return false;
  place = key;
  shard.count.store(shard.count + 1, std::memory_order_relaxed);
  return true;
}

std::uint64_t PrefixSet::size() const {
  std::uint64_t count = 0;
  for (unsigned i = 0; i < kShards; ++i) {
    count += shards_[i].count.load(std::memory_order_relaxed);
  }
  return count;
}

// Where the key is, or is to be put.
Hash128& PrefixSet::place_of(const Buckets& buckets, const Hash128& key) {
  for (std::size_t at = scaled(key.low, buckets.size);;) {
    for (Hash128& place : buckets.data[at].places) {
      if (place == key || place == Hash128{}) return place;
    }
    if (++at == buckets.size) at = 0;
  }
}

void PrefixSet::grow(Shard& shard) {
  Buckets buckets;
  buckets.size = shard.buckets.size + shard.buckets.size / 4 + 4;
  buckets.data = std::make_unique<Bucket[]>(buckets.size);
  for (const Bucket& bucket : shard.buckets) {
    for (const Hash128& key : bucket.places) {
      if (key != Hash128{}) place_of(buckets, key) = key;
    }
  }
  const std::size_t more = buckets.size - shard.buckets.size;
  bytes_.fetch_add(more * sizeof(Bucket), std::memory_order_relaxed);
  std::swap(shard.buckets, buckets);
}

}  // namespace interleaf
