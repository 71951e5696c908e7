// SPDX-License-Identifier: GPL-2.0-only
#include "engine/string_pool.h"

namespace interleaf {
namespace {

constexpr int kLengthBitsMax = 35;  // five LEB128 bytes

// Takes a LEB128 number off the front of `block`.
std::optional<std::size_t> take_length(std::span<const std::byte>& block) {
  std::size_t length = 0;
  for (int shift = 0; shift < kLengthBitsMax && !block.empty(); shift += 7) {
    const auto byte = std::to_integer<std::size_t>(block.front());
    block = block.subspan(1);
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return length;
  }
  return {};
}

}  // namespace

std::optional<std::uint16_t> StringPool::index_of(std::string_view text) {
  if (text.empty()) return 0;
  const auto [entry, added] = indexes_.try_emplace(std::string(text));
  if (!added) return entry->second;
  if (indexes_.size() > kPoolStringsMax) return {};
  entry->second = static_cast<std::uint16_t>(indexes_.size());
  std::size_t length = text.size();
  for (; length >= 0x80; length >>= 7) block_.push_back(static_cast<std::byte>(length | 0x80));
  block_.push_back(static_cast<std::byte>(length));
  const auto bytes = std::as_bytes(std::span(text));
  block_.insert(block_.end(), bytes.begin(), bytes.end());
  return entry->second;
}

std::optional<std::vector<std::string_view>> strings_of(std::span<const std::byte> block) {
  std::vector<std::string_view> strings = {""};
  while (!block.empty()) {
    const auto length = take_length(block);
    if (!length || *length > block.size() || strings.size() > kPoolStringsMax) return {};
    strings.emplace_back(reinterpret_cast<const char*>(block.data()), *length);
    block = block.subspan(*length);
  }
  return strings;
}

}  // namespace interleaf
