// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/prefix_set.h"

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
  if (4 * (shard.count + 1) > 3 * shard.places.size()) grow(shard);
  Hash128& place = place_of(shard.places, key);
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
Hash128& PrefixSet::place_of(std::vector<Hash128>& places, const Hash128& key) {
  std::size_t at = scaled(key.low, places.size());
  while (places[at] != Hash128{} && places[at] != key) {
    if (++at == places.size()) at = 0;
  }
  return places[at];
}

void PrefixSet::grow(Shard& shard) {
  std::vector<Hash128> places(shard.places.size() + shard.places.size() / 4 + 16);
  for (const Hash128& key : shard.places) {
    if (key != Hash128{}) place_of(places, key) = key;
  }
  const std::size_t more = places.size() - shard.places.size();
  bytes_.fetch_add(more * sizeof(Hash128), std::memory_order_relaxed);
  shard.places.swap(places);
}

}  // namespace interleaf
