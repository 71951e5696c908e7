// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/file_model.h"

#include <algorithm>
#include <cstring>

#include "scheduler/check.h"

namespace interleaf {
namespace {

std::uint64_t wrapped(std::uint64_t offset, std::uint64_t size) {
  return size == 0 ? 0 : offset % size;
}

std::uint64_t up_to(std::uint64_t offset, std::uint64_t length, std::uint64_t end) {
  return offset >= end ? 0 : std::min(length, end - offset);
}

}  // namespace

void trim_fsx(FsxOp& op, std::uint64_t size, const FsxLimits& limits) {
  const std::uint64_t max = limits.length_max;
  const std::uint64_t blocks = ~(limits.block_size - 1);
  switch (op.kind) {
    case FsxKind::kRead:
    case FsxKind::kMapRead:
    case FsxKind::kPunchHole:
      op.offset = wrapped(op.offset, size);
      op.length = up_to(op.offset, op.length, size);
      break;
    case FsxKind::kWrite:
    case FsxKind::kMapWrite:
    case FsxKind::kFallocate:
    case FsxKind::kZeroRange:
      op.offset = wrapped(op.offset, max);
      op.length = up_to(op.offset, op.length, max);
      break;
    case FsxKind::kTruncate:
      op.offset = 0;
      op.length = std::min(op.length, max);
      return;
    case FsxKind::kCollapseRange:
      op.offset = size == 0 ? 0 : wrapped(op.offset, size - 1);
      op.length = size == 0 ? 0 : up_to(op.offset, op.length, size - 1) & blocks;
      op.offset &= blocks;
      break;
    case FsxKind::kInsertRange:
      op.offset = wrapped(op.offset, size) & blocks;
      op.length = up_to(size, op.length, max) & blocks;
      if (size == 0) op.length = 0;
      break;
    case FsxKind::kCloneRange:
      op.offset = wrapped(op.offset, size) & blocks;
      op.length = up_to(op.offset, op.length, size) & blocks;
      op.destination = wrapped(op.destination, max) & blocks;
      op.length = up_to(op.destination, op.length, max) & blocks;
      // Of one file the two must not overlap.
      if (op.destination < op.offset + op.length && op.offset < op.destination + op.length) {
        op.length = 0;
      }
      break;
    case FsxKind::kDedupeRange:
    case FsxKind::kCopyRange:
    case FsxKind::kExchangeRange:
      op.skip = true;
      return;
    case FsxKind::kFsync:
      op.offset = op.length = 0;
      return;
  }
  if (op.length == 0) op.skip = true;
}

std::uint64_t fsx_size_after(const FsxOp& op, std::uint64_t size) {
  if (op.skip) return size;
  switch (op.kind) {
    case FsxKind::kWrite:
    case FsxKind::kMapWrite:
      return std::max(size, op.offset + op.length);
    case FsxKind::kFallocate:
    case FsxKind::kZeroRange:
      return op.keep_size ? size : std::max(size, op.offset + op.length);
    case FsxKind::kTruncate:
      return op.length;
    case FsxKind::kCollapseRange:
      return size - op.length;
    case FsxKind::kInsertRange:
      return size + op.length;
    case FsxKind::kCloneRange:
      return std::max(size, op.destination + op.length);
    default:
      return size;
  }
}

FsxModel::FsxModel(const FsxLimits& limits) : limits_(limits), bytes_(limits.length_max) {}

// As fsx: even bytes say which operation wrote them, odd ones also where they are.
void FsxModel::data(std::uint64_t number, std::uint64_t offset, std::uint64_t length,
                    std::uint8_t* to) {
  for (std::uint64_t at = offset; at < offset + length; ++at) {
    const std::uint64_t place = at % 2 == 0 ? 0 : (at * 0x9e3779b97f4a7c15) >> 56;
    *to++ = static_cast<std::uint8_t>(number + place);
  }
}

void FsxModel::grow(std::uint64_t size) {
  CHECK(size <= bytes_.size());
  size_ = std::max(size_, size);
}

void FsxModel::zero(std::uint64_t begin, std::uint64_t end) {
  end = std::min(end, size_);
  if (begin < end) std::memset(bytes_.data() + begin, 0, end - begin);
}

void FsxModel::apply(const FsxOp& op, std::uint64_t number) {
  CHECK(!op.skip);
  const std::uint64_t end = op.offset + op.length;
  std::uint8_t* bytes = bytes_.data();
  switch (op.kind) {
    case FsxKind::kWrite:
    case FsxKind::kMapWrite:
      grow(end);
      data(number, op.offset, op.length, bytes + op.offset);
      break;
    case FsxKind::kTruncate:
      zero(op.length, size_);
      size_ = op.length;
      break;
    case FsxKind::kFallocate:
      if (!op.keep_size) grow(end);
      break;
    case FsxKind::kZeroRange:
      if (!op.keep_size) grow(end);
      zero(op.offset, end);
      break;
    case FsxKind::kPunchHole:
      zero(op.offset, end);
      break;
    case FsxKind::kCollapseRange:
      std::memmove(bytes + op.offset, bytes + end, size_ - end);
      zero(size_ - op.length, size_);
      size_ -= op.length;
      break;
    case FsxKind::kInsertRange:
      grow(size_ + op.length);
      std::memmove(bytes + end, bytes + op.offset, size_ - end);
      zero(op.offset, end);
      break;
    case FsxKind::kCloneRange:
      grow(op.destination + op.length);
      std::memmove(bytes + op.destination, bytes + op.offset, op.length);
      break;
    default:
      break;
  }
}

}  // namespace interleaf
