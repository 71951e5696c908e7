// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/prefix_set.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "scheduler/prng.h"

namespace interleaf {
namespace {

TEST(PrefixSet, HoldsWhatASetHolds) {
  Prng prng(1);
  PrefixSet set;
  std::set<Hash128> truth;
  for (unsigned i = 0; i < 50'000; ++i) {
    Hash128 key{prng.next(), prng.next()};
    if (i % 3 == 0) key = {prng.below(500), prng.below(3)};  // repeated, and badly spread
    if (key == Hash128{}) continue;
    ASSERT_EQ(set.insert(key), truth.insert(key).second);
  }
  EXPECT_EQ(set.size(), truth.size());
  std::set<Hash128> again;
  set.for_each([&](const Hash128& key) { again.insert(key); });
  EXPECT_EQ(again, truth);
}

TEST(PrefixSet, TakesAKeyThatIsZero) {
  PrefixSet set;
  EXPECT_TRUE(set.insert({}));
  EXPECT_FALSE(set.insert({}));
  EXPECT_EQ(set.size(), 1u);
}

TEST(PrefixSet, NeedsLessThanThirtyBytesAHashAtAnySize) {
  Prng prng(2);
  PrefixSet set;
  for (unsigned i = 1; i <= 300'000; ++i) {
    set.insert({prng.next(), prng.next()});
    if (i > 50'000 && i % 1'000 == 0) {
      ASSERT_LT(set.bytes(), std::uint64_t{30} * i);
      ASSERT_GT(set.bytes(), std::uint64_t{16} * i);
    }
  }
}

TEST(PrefixSet, GivesEveryHashToOneThread) {
  PrefixSet set;
  constexpr unsigned kHashes = 40'000, kThreads = 4;
  std::vector<std::uint64_t> claimed(kThreads);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Prng prng(3);  // all try the same
      for (unsigned i = 0; i < kHashes; ++i) {
        const std::uint64_t low = prng.next();
        claimed[t] += set.insert({low, prng.next()});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::uint64_t sum = 0;
  for (const std::uint64_t count : claimed) sum += count;
  EXPECT_EQ(sum, kHashes);
  EXPECT_EQ(set.size(), kHashes);
}

}  // namespace
}  // namespace interleaf
