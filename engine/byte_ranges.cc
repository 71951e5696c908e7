// SPDX-License-Identifier: GPL-2.0-only
#include "engine/byte_ranges.h"

#include <algorithm>

namespace interleaf {

std::vector<ByteRange>::const_iterator ByteRanges::behind(std::uint64_t at) const {
  return std::upper_bound(
      ranges_.begin(), ranges_.end(), at,
      [](std::uint64_t value, const ByteRange& range) { return value < range.end; });
}

void ByteRanges::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  // Those that touch it become part of it.
  auto first = begin == 0 ? ranges_.cbegin() : behind(begin - 1);
  auto last = first;
  for (; last != ranges_.cend() && last->begin <= end; ++last) {
    begin = std::min(begin, last->begin);
    end = std::max(end, last->end);
  }
  ranges_.insert(ranges_.erase(first, last), {begin, end});
}

void ByteRanges::remove(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  auto first = behind(begin);
  auto last = first;
  ByteRange before{begin, begin};
  ByteRange after{end, end};
  for (; last != ranges_.cend() && last->begin < end; ++last) {
    before.begin = std::min(before.begin, last->begin);
    after.end = std::max(after.end, last->end);
  }
  auto at = ranges_.erase(first, last);
  if (after.begin < after.end) at = ranges_.insert(at, after);
  if (before.begin < before.end) ranges_.insert(at, before);
}

bool ByteRanges::contains(std::uint64_t at) const {
  const auto range = behind(at);
  return range != ranges_.end() && range->begin <= at;
}

bool ByteRanges::overlaps(std::uint64_t begin, std::uint64_t end) const {
  const auto range = behind(begin);
  return begin < end && range != ranges_.end() && range->begin < end;
}

}  // namespace interleaf
