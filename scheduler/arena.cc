// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/arena.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

#include "scheduler/access.h"
#include "scheduler/check.h"

namespace interleaf {
namespace {

// Above AddressSanitizer's shadow, below the mmap area of every Linux we know.
constexpr std::uintptr_t kFirstSlot = 0x200000000000;

constexpr std::uintptr_t align_up(std::uintptr_t value, std::size_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// Blocks are reused only by requests of the same size class: powers of two.
unsigned size_class(std::size_t bytes) { return static_cast<unsigned>(std::bit_width(bytes)); }

}  // namespace

Arena::Arena(unsigned slot) : base_(kFirstSlot + slot * kReservation) {
  CHECK(slot < kSlotsMax);
  void* wanted = reinterpret_cast<void*>(base_);
  void* got = mmap(wanted, kReservation, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (got != wanted) {
    if (got != MAP_FAILED) munmap(got, kReservation);
    throw std::runtime_error("cannot reserve the address range of world " + std::to_string(slot) +
                             ": is it in use already, or is RLIMIT_AS set?");
  }
  Control& c = control();
  c = Control{};
  c.mark = align_up(base_ + sizeof(Control), 64);
  c.quarantine_max = std::size_t{256} << 20;
}

Arena::~Arena() { munmap(reinterpret_cast<void*>(base_), kReservation); }

bool Arena::any_contains(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) - kFirstSlot < kSlotsMax * kReservation;
}

void* Arena::allocate(std::size_t bytes, std::size_t alignment, const BlockType* type) {
  Control& c = control();
  bytes = align_up(bytes == 0 ? 1 : bytes, 16);
  Block* block = nullptr;
  Block*& reusable = c.reusable[size_class(bytes)];
  if (reusable != nullptr && reusable->size >= bytes && alignment <= 16) {
    block = reusable;
    reusable = block->next;
  } else {
    if (alignment < 16) alignment = 16;
    const std::uintptr_t data = align_up(c.mark + sizeof(Block), alignment);
    CHECK(data + bytes < base_ + kReservation / 2);  // the upper half is for stacks
    block = reinterpret_cast<Block*>(data) - 1;
    block->size = bytes;
    // find() walks the chain of blocks and must see that the gap left by alignment is none.
    std::memset(reinterpret_cast<void*>(c.mark), 0,
                reinterpret_cast<std::uintptr_t>(block) - c.mark);
    c.mark = data + bytes;
    // Above the mark lies what earlier runs left: nobody may depend on it.
    std::memset(block->data(), kPoisonByte, bytes);
  }
  block->serial = ++c.serial;
  block->live = kLive;
  block->type = type;
  block->next = nullptr;
  c.live_bytes += block->size;
  return block->data();
}

Arena::FreeResult Arena::free(void* data) {
  Block* block = static_cast<Block*>(data) - 1;
  if (!contains(block)) return FreeResult::kNotABlock;
  if (block->live == kFreed) return FreeResult::kDoubleFree;
  if (block->live != kLive) return FreeResult::kNotABlock;
  Control& c = control();
  block->live = kFreed;
  block->next = nullptr;
  std::memset(data, kPoisonByte, block->size);
  c.live_bytes -= block->size;
  c.quarantined += block->size;
  if (c.newest != nullptr) {
    c.newest->next = block;
  } else {
    c.oldest = block;
  }
  c.newest = block;
  if (c.quarantined > c.quarantine_max) drain_quarantine();
  return FreeResult::kFreed;
}

void Arena::drain_quarantine() {
  Control& c = control();
  while (c.quarantined > c.quarantine_max && c.oldest != c.newest) {
    Block* block = c.oldest;
    c.oldest = block->next;
    c.quarantined -= block->size;
    Block*& reusable = c.reusable[size_class(block->size)];
    block->next = reusable;
    reusable = block;
  }
}

const Arena::Block* Arena::next_block(const Block* block) const {
  std::uintptr_t at = align_up(base_ + sizeof(Control), 64);
  if (block != nullptr) at = reinterpret_cast<std::uintptr_t>(block->data()) + block->size;
  for (; at < control().mark; at += 16) {
    const auto* next = reinterpret_cast<const Block*>(at);
    if (next->serial != 0) return next;  // else a gap in front of an aligned block
  }
  return nullptr;
}

const Arena::Block* Arena::find(const void* address) const {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (const Block* block = next_block(nullptr); block != nullptr; block = next_block(block)) {
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    const auto data = reinterpret_cast<std::uintptr_t>(block->data());
    if (wanted >= begin && wanted < data + block->size) return block;
  }
  return nullptr;
}

std::vector<std::byte> Arena::save() const {
  const auto* begin = reinterpret_cast<const std::byte*>(base_);
  return {begin, begin + used()};
}

void Arena::save_into(Image& image) const {
  image.clear();
  image.append(reinterpret_cast<const void*>(base_), used());
}

void Arena::restore(std::span<const std::byte> image) {
  std::memcpy(reinterpret_cast<void*>(base_), image.data(), image.size());
}

}  // namespace interleaf
