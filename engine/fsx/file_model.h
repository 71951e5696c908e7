// SPDX-License-Identifier: GPL-2.0-only
// The plain array of bytes that a file under fsx must be equal to, and what each operation does to
// it.
//
// Not thread-safe. Allocates only when it is made.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/fsx/ops.h"

namespace interleaf {

struct FsxLimits {
  std::uint64_t length_max = 262144;  // of the file
  std::uint64_t block_size = 4096;    // collapse and insert range are in blocks
};

// Trims an operation to what makes sense for a file of this size, as fsx does; sets op.skip if that
// leaves nothing. Idempotent.
void trim_fsx(FsxOp& op, std::uint64_t size, const FsxLimits& limits);
// The file's size behind a trimmed operation.
std::uint64_t fsx_size_after(const FsxOp& op, std::uint64_t size);

class FsxModel {
 public:
  explicit FsxModel(const FsxLimits& limits);

  // Requires: op is trimmed and does something. `number` from 1: writes have bytes of their own.
  void apply(const FsxOp& op, std::uint64_t number);
  // The bytes that a write of this number puts there, from `offset` on.
  static void data(std::uint64_t number, std::uint64_t offset, std::uint64_t length,
                   std::uint8_t* to);

  const std::uint8_t* bytes() const { return bytes_.data(); }
  std::uint64_t size() const { return size_; }
  const FsxLimits& limits() const { return limits_; }

 private:
  void grow(std::uint64_t size);
  void zero(std::uint64_t begin, std::uint64_t end);

  FsxLimits limits_;
  std::vector<std::uint8_t> bytes_;  // zeros behind size_
  std::uint64_t size_ = 0;
};

}  // namespace interleaf
