// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/object_kinds.h"

#include <algorithm>
#include <functional>

#include "scheduler/prng.h"

namespace interleaf {
namespace {

std::uint64_t hash_of(const char* text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (; *text != 0; ++text) hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100000001b3;
  return hash;
}

}  // namespace

void ObjectKinds::learn_boot(const Arena& arena) {
  for (const Arena::Block* b = arena.next_block(nullptr); b != nullptr; b = arena.next_block(b)) {
    boot_.push_back(b);
  }
}

std::uint64_t ObjectKinds::of(const Arena& arena, const void* address) const {
  const auto after = std::upper_bound(boot_.begin(), boot_.end(), address,
                                      [](const void* wanted, const Arena::Block* block) {
                                        return std::less<>()(wanted, block->data());
                                      });
  const Arena::Block* block = after == boot_.begin() ? nullptr : after[-1];
  const auto lies_in = [&](const Arena::Block& b) {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(b.data()) <
           b.size;
  };
  const bool at_boot = block != nullptr && lies_in(*block);
  if (!at_boot) {
    // Blocks of the run lie behind those of the boot.
    block = arena.next_block(boot_.empty() ? nullptr : boot_.back());
    while (block != nullptr && !lies_in(*block)) block = arena.next_block(block);
  }
  if (block == nullptr) return 1;
  const auto place = reinterpret_cast<std::uintptr_t>(block->data());
  const std::uint64_t kind = block->type != nullptr ? hash_of(block->type->name)
                             : at_boot              ? place - arena.base()
                                                    : ~block->size;
  std::uint64_t state =
      kind + 0x9e3779b97f4a7c15 * (reinterpret_cast<std::uintptr_t>(address) - place);
  return split_mix(state) | 1;
}

}  // namespace interleaf
