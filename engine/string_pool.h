// SPDX-License-Identifier: GPL-2.0-only
//
// The strings of a recording: each once, by index, in one block of bytes. Index 0 is the empty
// string; the block has, from index 1 on, each string's length as LEB128 and its bytes.
// Single-threaded values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace interleaf {

inline constexpr std::size_t kPoolStringsMax = 65535;  // an index has 16 bits

class StringPool {
 public:
  // Returns nothing if the pool is full.
  std::optional<std::uint16_t> index_of(std::string_view text);

  const std::vector<std::byte>& block() const { return block_; }

 private:
  std::unordered_map<std::string, std::uint16_t> indexes_;  // looked up only, never walked
  std::vector<std::byte> block_;
};

// All strings of a block, "" first; nothing if it is malformed.
std::optional<std::vector<std::string_view>> strings_of(std::span<const std::byte> block);

}  // namespace interleaf
