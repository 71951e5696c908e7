// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>

#include "scheduler/access.h"

namespace interleaf {
namespace {

std::string bytes_of(const void* data, std::size_t count) {
  return {static_cast<const char*>(data), count};
}
const std::string kPoison(32, static_cast<char>(kPoisonByte));

TEST(Arena, GivesTheSameAddressesEveryTime) {
  std::string addresses[2];
  for (std::string& text : addresses) {
    Arena arena(3);
    for (std::size_t size : {1u, 16u, 17u, 4096u}) {
      const auto at = reinterpret_cast<std::uintptr_t>(arena.allocate(size)) - arena.base();
      text += std::to_string(at) + ' ';
    }
  }
  EXPECT_EQ(addresses[0], addresses[1]);
}

TEST(Arena, AlignsAsAsked) {
  Arena arena(0);
  for (std::size_t alignment = 1; alignment <= 8192; alignment *= 2) {
    arena.allocate(24);
    const auto at = reinterpret_cast<std::uintptr_t>(arena.allocate(24, alignment));
    EXPECT_EQ(at % alignment, 0u) << alignment;
    EXPECT_EQ(at % 16, 0u) << alignment;
  }
}

TEST(Arena, FillsFreedMemoryWithPoison) {
  Arena arena(0);
  void* block = arena.allocate(32);
  std::memset(block, 7, 32);
  EXPECT_EQ(arena.live_bytes(), 32u);
  EXPECT_EQ(arena.free(block), Arena::FreeResult::kFreed);
  EXPECT_EQ(bytes_of(block, 32), kPoison);
  EXPECT_EQ(arena.live_bytes(), 0u);
}

TEST(Arena, HandsOutNoMemoryThatAnEarlierRunWrote) {
  Arena arena(0);
  const auto image = arena.save();
  std::memset(arena.allocate(32), 7, 32);
  arena.restore(image);
  EXPECT_EQ(bytes_of(arena.allocate(32), 32), kPoison);
}

TEST(Arena, TellsADoubleFreeFromNoBlock) {
  Arena arena(0);
  auto* block = static_cast<std::byte*>(arena.allocate(128));
  EXPECT_EQ(arena.free(block + 64), Arena::FreeResult::kNotABlock);
  int outside = 0;
  EXPECT_EQ(arena.free(&outside), Arena::FreeResult::kNotABlock);
  EXPECT_EQ(arena.free(block), Arena::FreeResult::kFreed);
  EXPECT_EQ(arena.free(block), Arena::FreeResult::kDoubleFree);
}

TEST(Arena, KeepsFreedMemoryInQuarantineUntilTheBudgetIsFull) {
  Arena arena(0);
  arena.set_quarantine(100);
  void* first = arena.allocate(64);
  void* second = arena.allocate(64);
  arena.free(first);
  EXPECT_NE(arena.allocate(64), first);  // 64 bytes are in quarantine
  arena.free(second);                    // 128: the oldest leaves
  EXPECT_EQ(arena.allocate(64), first);
  EXPECT_NE(arena.allocate(64), second);
}

TEST(Arena, SeesADoubleFreeAlsoAfterTheQuarantine) {
  Arena arena(0);
  arena.set_quarantine(0);
  void* first = arena.allocate(64);
  arena.free(first);
  arena.free(arena.allocate(64));
  EXPECT_EQ(arena.free(first), Arena::FreeResult::kDoubleFree);
}

TEST(Arena, FindsTheBlockOfAnAddressBehindAlignmentGaps) {
  static constexpr BlockType kFolio{"folio"};
  Arena arena(0);
  arena.allocate(40);
  auto* folio = static_cast<std::byte*>(arena.allocate(100, 4096, &kFolio));
  auto* last = static_cast<std::byte*>(arena.allocate(8, 256));
  const Arena::Block* block = arena.find(folio + 99);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(block->data(), folio);
  EXPECT_STREQ(block->type->name, "folio");
  EXPECT_EQ(block->serial, 2u);
  ASSERT_NE(arena.find(last), nullptr);
  EXPECT_EQ(arena.find(last)->serial, 3u);
  EXPECT_EQ(arena.find(folio - 2048), nullptr);  // a gap
  EXPECT_EQ(arena.find(last + 16), nullptr);     // above the mark
}

TEST(Arena, RestoresContentsAndAllocationState) {
  Arena arena(0);
  auto* kept = static_cast<int*>(arena.allocate(sizeof(int)));
  *kept = 1;
  const auto image = arena.save();
  const std::size_t used = arena.used();
  void* const after = arena.allocate(1000);
  *kept = 2;
  arena.free(kept);
  arena.restore(image);
  EXPECT_EQ(*kept, 1);
  EXPECT_EQ(arena.used(), used);
  EXPECT_EQ(arena.allocations(), 1u);
  EXPECT_EQ(arena.allocate(1000), after);
  EXPECT_EQ(arena.free(kept), Arena::FreeResult::kFreed);
}

TEST(Arena, RefusesASlotThatIsInUse) {
  Arena arena(5);
  EXPECT_THROW(Arena(5), std::runtime_error);
  Arena other(6);
  EXPECT_FALSE(arena.contains(other.allocate(1)));
}

}  // namespace
}  // namespace interleaf
