// SPDX-License-Identifier: GPL-2.0-only
//
// Raw deflate streams (RFC 1951), by zlib. The bytes of a compressed stream may differ between
// versions of zlib; what they expand to does not. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace interleaf {

// `dictionary` is what both sides know beforehand: as if it stood before `bytes`.
std::vector<std::byte> deflated(std::span<const std::byte> bytes, std::string_view dictionary = "");

// Returns `size` bytes, or nothing if `bytes` is not one whole stream of so many. Allocates `size`
// bytes: bounding it is the caller's.
std::optional<std::vector<std::byte>> inflated(std::span<const std::byte> bytes, std::size_t size,
                                               std::string_view dictionary = "");

}  // namespace interleaf
