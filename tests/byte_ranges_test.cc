// SPDX-License-Identifier: GPL-2.0-only
#include "engine/byte_ranges.h"

#include <gtest/gtest.h>

#include <bitset>

#include "scheduler/prng.h"

namespace interleaf {
namespace {

TEST(ByteRanges, HoldTheSameBytesAsASetOfBytes) {
  constexpr std::uint64_t kBytes = 40;
  Prng random(7);
  for (int round = 0; round < 300; ++round) {
    ByteRanges ranges;
    std::bitset<kBytes> bytes;
    for (int change = 0; change < 20; ++change) {
      const std::uint64_t begin = random.below(kBytes);
      const std::uint64_t end =
          begin + random.below(static_cast<std::uint32_t>(kBytes - begin + 1));
      const bool add = random.below(2) == 0;
      add ? ranges.add(begin, end) : ranges.remove(begin, end);
      for (std::uint64_t at = begin; at < end; ++at) bytes[at] = add;

      for (std::uint64_t at = 0; at < kBytes; ++at) {
        ASSERT_EQ(ranges.contains(at), bytes[at]) << at;
        bool any = false;
        for (std::uint64_t stop = at; stop < kBytes; ++stop) {
          ASSERT_EQ(ranges.overlaps(at, stop), any) << at << " " << stop;
          any = any || bytes[stop];
        }
      }
      for (std::size_t i = 0; i < ranges.ranges().size(); ++i) {
        const ByteRange& range = ranges.ranges()[i];
        EXPECT_LT(range.begin, range.end);
        if (i != 0) {
          EXPECT_LT(ranges.ranges()[i - 1].end, range.begin);
        }
      }
    }
  }
}

TEST(ByteRanges, ReachToTheEndOfAllNumbers) {
  ByteRanges ranges;
  ranges.add(10, ~std::uint64_t{0});
  ranges.remove(20, 30);
  EXPECT_EQ(ranges.ranges(), (std::vector<ByteRange>{{10, 20}, {30, ~std::uint64_t{0}}}));
  ranges.remove(0, ~std::uint64_t{0});
  EXPECT_TRUE(ranges.empty());
}

}  // namespace
}  // namespace interleaf
