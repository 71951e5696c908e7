// SPDX-License-Identifier: GPL-2.0-only
// The memory of one World: a reservation at a fixed address that holds everything a run may
// change. Allocation only moves a mark; freed blocks are filled with kPoisonByte and stay in
// quarantine until the budget is full, so that a use after free is seen exactly. Because all of it
// lies below the mark, copying [begin, mark) away and back rewinds the World.
//
// Not thread-safe: one arena belongs to one OS thread at a time. Slots are disjoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/block_type.h"
#include "scheduler/image.h"

namespace interleaf {

class Arena {
 public:
  static constexpr std::size_t kReservation = std::size_t{8} << 30;  // address space per slot
  static constexpr unsigned kSlotsMax = 256;

  // In front of every block.
  struct Block {
    std::uint32_t serial;  // 1, 2, ... in order of allocation
    std::uint32_t live;    // kLive or kFreed
    std::uint64_t size;    // bytes, without this header
    const BlockType* type;
    Block* next;  // in the quarantine or on a free list
    void* data() { return this + 1; }
    const void* data() const { return this + 1; }
  };

  // Reserves slot `slot`. Throws std::runtime_error if the address range is taken.
  explicit Arena(unsigned slot);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Never returns null; ends the program when the reservation is used up. Alignment is 16 unless
  // asked for more. The memory is filled with kPoisonByte.
  void* allocate(std::size_t bytes, std::size_t alignment = 16, const BlockType* type = nullptr);

  enum class FreeResult : std::uint8_t { kFreed, kDoubleFree, kNotABlock };
  FreeResult free(void* data);

  bool contains(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - base_ < kReservation;
  }
  static bool any_contains(const void* address);
  // Whether `data` is what allocate() returned and free() has not had, and how much it was asked
  // for, rounded up.
  bool is_live_block(const void* data) const {
    const Block* block = static_cast<const Block*>(data) - 1;
    return contains(block) && block->live == kLive;
  }
  static std::size_t size_of(const void* data) {
    return (static_cast<const Block*>(data) - 1)->size;
  }
  static bool is_live(const Block& block) { return block.live == kLive; }

  // The block that `address` lies in, or null. Walks all blocks: for reports.
  const Block* find(const void* address) const;
  // The block behind `block`, freed ones too; the first one after null. Null at the end.
  const Block* next_block(const Block* block) const;

  std::uintptr_t base() const { return base_; }
  // Bytes in use below the mark, the size of a copy.
  std::size_t used() const { return control().mark - base_; }
  std::size_t live_bytes() const { return control().live_bytes; }
  std::uint64_t allocations() const { return control().serial; }

  // The copy of [base, mark). Restoring needs the arena that was saved.
  std::vector<std::byte> save() const;
  void save_into(Image& image) const;
  void restore(std::span<const std::byte> image);

  // How many freed bytes are kept untouched before the oldest are used again.
  void set_quarantine(std::size_t bytes) { control().quarantine_max = bytes; }

 private:
  static constexpr std::uint32_t kLive = 0x11fe11fe;
  static constexpr std::uint32_t kFreed = 0xdeadf4ee;
  static constexpr unsigned kClasses = 48;

  // Lives at the start of the arena itself, so that it rewinds too.
  struct Control {
    std::uintptr_t mark;
    std::uint32_t serial;
    std::size_t live_bytes;
    std::size_t quarantined;
    std::size_t quarantine_max;
    Block* oldest;
    Block* newest;
    Block* reusable[kClasses];
  };
  Control& control() { return *reinterpret_cast<Control*>(base_); }
  const Control& control() const { return *reinterpret_cast<const Control*>(base_); }
  void drain_quarantine();

  std::uintptr_t base_;
};

}  // namespace interleaf
