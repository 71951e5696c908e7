// SPDX-License-Identifier: GPL-2.0-only
// A set of bytes of a file, as ranges: [begin, end). Kept sorted, apart and not empty.
#pragma once

#include <cstdint>
#include <vector>

namespace interleaf {

struct ByteRange {
  std::uint64_t begin;
  std::uint64_t end;

  bool operator==(const ByteRange&) const = default;
};

class ByteRanges {
 public:
  void add(std::uint64_t begin, std::uint64_t end);
  void remove(std::uint64_t begin, std::uint64_t end);
  bool contains(std::uint64_t at) const;
  bool overlaps(std::uint64_t begin, std::uint64_t end) const;
  bool empty() const { return ranges_.empty(); }
  void clear() { ranges_.clear(); }
  const std::vector<ByteRange>& ranges() const { return ranges_; }

 private:
  // The first range that ends behind `at`.
  std::vector<ByteRange>::const_iterator behind(std::uint64_t at) const;

  std::vector<ByteRange> ranges_;
};

}  // namespace interleaf
