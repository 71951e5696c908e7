// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/exercise.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kPageMax = 65536;
constexpr std::uint64_t kSeekEvery = 64;

std::string error_text(std::int64_t result) {
  return result < 0 ? "-" + std::string(strerrorname_np(static_cast<int>(-result)))
                    : fmt::format("{:#x}", result);
}

int fallocate_mode(const FsxOp& op) {
  const int keep = op.keep_size ? FALLOC_FL_KEEP_SIZE : 0;
  switch (op.kind) {
    case FsxKind::kPunchHole:
      return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    case FsxKind::kZeroRange:
      return FALLOC_FL_ZERO_RANGE | keep;
    case FsxKind::kCollapseRange:
      return FALLOC_FL_COLLAPSE_RANGE;
    case FsxKind::kInsertRange:
      return FALLOC_FL_INSERT_RANGE;
    default:
      return keep | (op.unshare ? FALLOC_FL_UNSHARE_RANGE : 0);
  }
}

}  // namespace

FsxExercise::FsxExercise(const FsxLimits& limits, const FsxChecks& checks)
    : model_(limits),
      checks_(checks),
      buffer_(limits.length_max + kPageMax),
      garbage_(kPageMax, std::uint8_t{0xe5}),
      zeros_(kPageMax) {}

bool FsxExercise::run(FsxFile& file, const std::vector<FsxOp>& ops, std::size_t begin,
                      std::size_t end) {
  for (at_ = begin; at_ < end; ++at_) {
    if (!apply(file, ops[at_])) return false;
    if (ops[at_].close_open && file.reopen() < 0) return fail("the file cannot be opened again");
  }
  return true;
}

bool FsxExercise::apply(FsxFile& file, FsxOp op) {
  if (!op.skip) trim_fsx(op, model_.size(), model_.limits());
  if (op.skip) {
    ++skipped_;
    return true;
  }
  const std::uint64_t garbage = checks_.pollute ? pollute(file, op) : 0;
  const std::int64_t result = execute(file, op);
  if (result == -EOPNOTSUPP) {
    if (garbage != 0) file.map_write(model_.size(), garbage, zeros_.data(), false);
    ++skipped_;
    return true;
  }
  if (!check_result(op, result)) return false;
  ++done_;
  const std::uint64_t offset = op.offset;
  const bool reads = op.kind == FsxKind::kRead || op.kind == FsxKind::kMapRead;
  if (reads && !check_bytes(offset, op.length, fsx_name(op.kind).data())) return false;
  if (op.kind == FsxKind::kMapRead && !check_tail(op)) return false;
  if (!reads) model_.apply(op, at_ + 1);
  if (!check_size(file)) return false;
  return (!checks_.seek_each && done_ % kSeekEvery != 0) || check_seek(file);
}

std::int64_t FsxExercise::execute(FsxFile& file, const FsxOp& op) {
  std::uint8_t* buffer = buffer_.data();
  switch (op.kind) {
    case FsxKind::kRead:
      return file.read(op.offset, op.length, buffer);
    case FsxKind::kMapRead:
      return read_mapped(file, op);
    case FsxKind::kWrite:
      FsxModel::data(at_ + 1, op.offset, op.length, buffer);
      return file.write(op.offset, op.length, buffer);
    case FsxKind::kMapWrite: {
      const std::uint64_t end = op.offset + op.length;
      const std::int64_t grown = end > model_.size() ? file.truncate(end) : 0;
      if (grown < 0) return grown;
      FsxModel::data(at_ + 1, op.offset, op.length, buffer);
      return file.map_write(op.offset, op.length, buffer, true);
    }
    case FsxKind::kTruncate:
      return file.truncate(op.length);
    case FsxKind::kCloneRange:
      return file.clone(op.offset, op.length, op.destination);
    case FsxKind::kFsync:
      return file.fsync();
    default:
      return file.fallocate(fallocate_mode(op), op.offset, op.length);
  }
}

// With what lies behind the end of the file in its last page.
std::int64_t FsxExercise::read_mapped(FsxFile& file, const FsxOp& op) {
  const std::uint64_t page = file.page_size();
  const std::uint64_t end = op.offset + op.length;
  const std::uint64_t last = (model_.size() + page - 1) / page * page;
  const std::uint64_t stop = end + page > last ? last : end;
  std::memset(buffer_.data() + op.length, 0, kPageMax);
  return file.map_read(op.offset, stop - op.offset, buffer_.data());
}

// Only what the operation itself will not write, and only if the end of the file moves. So many
// bytes.
std::uint64_t FsxExercise::pollute(FsxFile& file, const FsxOp& op) {
  const std::uint64_t size = model_.size();
  const std::uint64_t page_end =
      (size + file.page_size() - 1) / file.page_size() * file.page_size();
  const std::uint64_t after = fsx_size_after(op, size);
  std::uint64_t end = page_end;
  switch (op.kind) {
    case FsxKind::kWrite:
    case FsxKind::kMapWrite:
    case FsxKind::kFallocate:
    case FsxKind::kZeroRange:
      end = std::min(end, op.offset);
      if (after == size) return 0;
      break;
    case FsxKind::kCloneRange:
      end = std::min(end, op.destination);
      if (after == size) return 0;
      break;
    case FsxKind::kTruncate:
      if (after > size) end = std::min(end, after);
      break;
    case FsxKind::kCollapseRange:
    case FsxKind::kInsertRange:
      break;
    default:
      return 0;
  }
  if (size >= end) return 0;
  file.map_write(size, end - size, garbage_.data(), false);
  return end - size;
}

bool FsxExercise::fail(const std::string& what) {
  const HeapScope heap;
  if (!mismatch_) mismatch_.emplace();
  mismatch_->op = at_;
  mismatch_->what = what.c_str();
  return false;
}

bool FsxExercise::check_result(const FsxOp& op, std::int64_t result) {
  const bool counts = op.kind == FsxKind::kRead || op.kind == FsxKind::kWrite;
  const std::int64_t wanted = counts ? static_cast<std::int64_t>(op.length) : 0;
  if (result == wanted) return true;
  return fail(fmt::format("returned {}, wanted {}", error_text(result), error_text(wanted)));
}

bool FsxExercise::check_bytes(std::uint64_t offset, std::uint64_t length, const char* how) {
  const std::uint8_t* wanted = model_.bytes() + offset;
  const std::uint8_t* got = buffer_.data();
  if (std::memcmp(got, wanted, length) == 0) return true;
  std::uint64_t bad = 0;
  std::uint64_t zeros = 0;
  std::uint64_t first = length;
  for (std::uint64_t i = 0; i < length; ++i) {
    if (got[i] == wanted[i]) continue;
    first = std::min(first, i);
    ++bad;
    zeros += got[i] == 0;
  }
  fail(fmt::format(
      "{} of {} bytes at {:#x}: {} are wrong, {} of them zero; the first at {:#x}: wanted "
      "{:#04x}, got {:#04x}",
      how, length, offset, bad, zeros, offset + first, wanted[first], got[first]));
  mismatch_->lost = zeros == bad;
  mismatch_->stale = !mismatch_->lost;
  mismatch_->offset = offset + first;
  return false;
}

bool FsxExercise::check_tail(const FsxOp& op) {
  const std::uint8_t* begin = buffer_.data() + op.length;
  const std::uint8_t* end = begin + kPageMax;
  const std::uint64_t after = op.offset + op.length;
  if (after < model_.size()) {
    // Up to the end of the file the bytes are the file's.
    const std::uint64_t rest = model_.size() - after;
    if (rest >= kPageMax) return true;
    begin += rest;
  }
  const std::uint8_t* wrong = std::find_if(begin, end, [](std::uint8_t byte) { return byte != 0; });
  if (wrong == end) return true;
  const auto at = static_cast<std::uint64_t>(wrong - begin);
  fail(fmt::format("behind the end of the file, at {:#x}: wanted 0x00, got {:#04x}",
                   model_.size() + at, *wrong));
  mismatch_->stale = true;
  mismatch_->offset = model_.size() + at;
  return false;
}

bool FsxExercise::check_size(FsxFile& file) {
  const std::int64_t size = file.seek(0, SEEK_END);
  if (size == static_cast<std::int64_t>(model_.size())) return true;
  return fail(fmt::format("the size is {}, wanted {:#x}", error_text(size), model_.size()));
}

bool FsxExercise::all_zero(std::uint64_t begin, std::uint64_t end) const {
  return std::all_of(model_.bytes() + begin, model_.bytes() + end,
                     [](std::uint8_t byte) { return byte == 0; });
}

// Holds for any filesystem: what is no data is zeros, data and holes take turns, and the end is a
// hole.
bool FsxExercise::check_seek(FsxFile& file) {
  const std::uint64_t size = model_.size();
  for (std::uint64_t at = 0; at < size;) {
    const std::int64_t data = file.seek(at, SEEK_DATA);
    if (data == -EINVAL) return true;  // lseek() knows no holes here
    const bool none = data == -ENXIO;
    const std::uint64_t begin = none ? size : static_cast<std::uint64_t>(data);
    if ((!none && data < 0) || begin < at || (!none && begin >= size)) {
      return fail(fmt::format("SEEK_DATA from {:#x} gave {}", at, error_text(data)));
    }
    if (!all_zero(at, begin)) {
      return fail(fmt::format("SEEK_DATA from {:#x} gave {}, and there are bytes before it", at,
                              error_text(data)));
    }
    if (none) return true;
    const std::int64_t hole = file.seek(begin, SEEK_HOLE);
    if (hole <= data || static_cast<std::uint64_t>(hole) > size) {
      return fail(fmt::format("SEEK_HOLE from {:#x} gave {}", begin, error_text(hole)));
    }
    at = static_cast<std::uint64_t>(hole);
  }
  return true;
}

bool FsxExercise::restore(FsxFile& file, std::size_t op) {
  at_ = op;
  const std::uint64_t size = model_.size();
  if (size == 0) return true;
  const std::int64_t done = file.write(0, size, model_.bytes());
  if (done != static_cast<std::int64_t>(size)) return fail("the file cannot be written as it was");
  return check_durable(file, op);
}

bool FsxExercise::check_durable(FsxFile& file, std::size_t op) {
  at_ = op;
  const std::uint64_t size = model_.size();
  const std::int64_t error = file.fsync();
  if (error != 0) return fail("fsync returned " + error_text(error));
  file.drop_cache();
  if (size == 0) return true;
  const std::int64_t got = file.read(0, size, buffer_.data());
  if (got != static_cast<std::int64_t>(size)) return fail("read returned " + error_text(got));
  return check_bytes(0, size, "read after fsync") && check_seek(file);
}

}  // namespace interleaf
