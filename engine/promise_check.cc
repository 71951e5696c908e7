// SPDX-License-Identifier: GPL-2.0-only
#include "engine/promise_check.h"

#include <algorithm>
#include <cstring>

#include "engine/kernel/fs.h"

namespace interleaf {
namespace {

bool same(const std::uint8_t* a, const std::uint8_t* b, std::size_t len) {
  if (a == b) return true;
  if (a != nullptr && b != nullptr) return std::memcmp(a, b, len) == 0;
  const std::uint8_t* one = a != nullptr ? a : b;
  return std::all_of(one, one + len, [](std::uint8_t byte) { return byte == 0; });
}

bool matches(const std::uint8_t* found, const std::vector<const std::uint8_t*>& right,
             std::size_t len) {
  return std::any_of(right.begin(), right.end(),
                     [&](const std::uint8_t* bytes) { return same(found, bytes, len); });
}

bool is_any(const CrashLog::UserWrite& write) {
  return write.kind == CrashLog::UserWrite::Kind::kAny ||
         write.kind == CrashLog::UserWrite::Kind::kClone;
}

bool is_finite(const CrashLog::UserWrite& write) {
  return write.len < ~std::uint64_t{0} - write.pos;
}

}  // namespace

PromiseCheck::PromiseCheck(const CrashOracle& oracle, const EventSet& set,
                           const CrashOracle::Disk& disk, const PowerCut& cut)
    : oracle_(oracle),
      log_(oracle.log_),
      disk_(disk),
      cut_(cut),
      blocks_(oracle.blocks(disk, cut)),
      acknowledged_(oracle.acknowledged(set)) {}

std::optional<BrokenPromise> PromiseCheck::check(std::uint32_t promise) {
  index_ = promise;
  if (promise == BrokenPromise::kStart) {
    for (std::uint32_t file = 0; file < log_.files().size() && !broken_; ++file) {
      go_over(file, 0, ~std::uint64_t{0});
    }
  } else {
    promise_ = &log_.promises()[promise];
    go_over(promise_->file, promise_->pos, promise_->end_pos);
  }
  return broken_;
}

void PromiseCheck::go_over(std::uint32_t file, std::uint64_t pos, std::uint64_t end) {
  metadata_ = &oracle_.metadata(disk_, cut_, file);
  metadata_step_ = oracle_.metadata_step(disk_, cut_, file);
  writes_.clear();
  std::uint64_t file_end = log_.files()[file].initial.size;
  for (std::uint32_t i = 0; i < log_.user_writes().size(); ++i) {
    const UserWrite& write = log_.user_writes()[i];
    if (write.file != file || write.len == 0) continue;
    writes_.push_back(i);
    if (is_finite(write)) file_end = std::max(file_end, write.pos + write.len);
  }
  end = std::min(end, exposed_ ? metadata_->size : file_end);
  while (pos < end) {
    const std::uint64_t stop = end_of_segment(file, pos, end);
    exposed_ ? judge_exposed({file, pos, stop - pos}) : judge({file, pos, stop - pos});
    pos = stop;
  }
}

std::uint64_t PromiseCheck::end_of_segment(std::uint32_t file, std::uint64_t pos,
                                           std::uint64_t end) const {
  const std::uint64_t block_size = oracle_.geometry_.block_size;
  std::uint64_t stop = std::min(end, (pos / block_size + 1) * block_size);
  const auto edge = [&](std::uint64_t at) {
    if (at > pos) stop = std::min(stop, at);
  };
  edge(log_.files()[file].initial.size);
  edge(metadata_->size);
  for (const std::uint32_t i : writes_) {
    const UserWrite& write = log_.user_writes()[i];
    edge(write.pos);
    if (is_finite(write)) edge(write.pos + write.len);
  }
  return stop;
}

// Acknowledged before the call that promised was made, or its own.
bool PromiseCheck::is_promised(std::uint32_t write) const {
  return promise_ != nullptr && acknowledged_.test(write) &&
         (write == promise_->own_write ||
          !log_.before(promise_->begin, log_.user_writes()[write].end));
}

void PromiseCheck::judge(const Segment& segment) {
  const std::uint64_t pos = segment.pos;
  std::vector<std::uint32_t> covering;
  std::vector<std::uint32_t> promised;  // of them
  for (const std::uint32_t i : writes_) {
    const UserWrite& write = log_.user_writes()[i];
    if (pos < write.pos || pos - write.pos >= write.len) continue;
    covering.push_back(i);
    if (is_promised(i)) promised.push_back(i);
  }
  const CrashLog::Metadata& initial = log_.files()[segment.file].initial;
  if (promised.empty() && pos >= initial.size) return;
  // What the bytes may be: null in it are zeros.
  std::vector<const std::uint8_t*> right;
  if (promised.empty()) right.push_back(initial_bytes(initial, pos));
  for (const std::uint32_t i : covering) {
    const UserWrite& write = log_.user_writes()[i];
    const bool gone = std::any_of(promised.begin(), promised.end(), [&](std::uint32_t other) {
      return other != i && log_.before(write.end, log_.user_writes()[other].begin);
    });
    if (gone) continue;
    if (is_any(write)) return;
    if (write.kind == UserWrite::Kind::kEnd && pos >= metadata_->size) return;
    const bool bytes = write.kind == UserWrite::Kind::kBytes;
    right.push_back(bytes ? write.bytes + (pos - write.pos) : nullptr);
  }
  const std::uint8_t* found = pos < metadata_->size ? bytes_after_recovery(pos) : nullptr;
  if (pos < metadata_->size && matches(found, right, segment.len)) return;
  note(segment, found, right, promised.empty() ? BrokenPromise::kStart : promised.back());
}

std::optional<BrokenPromise> PromiseCheck::check_exposed() {
  exposed_ = true;
  for (std::uint32_t file = 0; file < log_.files().size() && !broken_; ++file) {
    go_over(file, 0, ~std::uint64_t{0});
    if (!broken_) check_end(file);
  }
  return broken_;
}

void PromiseCheck::check_end(std::uint32_t file) {
  const std::uint64_t size = metadata_->size;
  const std::uint64_t initial = log_.files()[file].initial.size;
  if (size <= initial) return;
  bool in_front = false;
  for (const UserWrite& write : log_.user_writes()) {
    if (write.file != file) continue;
    const std::uint64_t end = is_finite(write) ? write.pos + write.len : ~std::uint64_t{0};
    if (write.kind == UserWrite::Kind::kClone && size <= write.pos) {
      in_front = true;
    } else if (write.kind == UserWrite::Kind::kEnd ? size == write.pos : size <= end) {
      return;
    }
  }
  if (!in_front) return;
  broken_ = BrokenPromise{
      index_, file, initial, size - 1, 0, 0, BrokenPromise::kStart, "half-done clone", true};
}

bool PromiseCheck::is_cut_off(std::uint64_t pos, StepNumber end) const {
  if (metadata_step_ == kNoStep) return false;
  return std::any_of(writes_.begin(), writes_.end(), [&](std::uint32_t i) {
    const UserWrite& truncate = log_.user_writes()[i];
    return truncate.kind == UserWrite::Kind::kEnd && truncate.acknowledged && truncate.pos <= pos &&
           truncate.end != metadata_step_ && log_.before(truncate.end, metadata_step_) &&
           log_.before(end, truncate.begin);
  });
}

// Within the size after recovery.
void PromiseCheck::judge_exposed(const Segment& segment) {
  const std::uint64_t pos = segment.pos;
  const CrashLog::Metadata& initial = log_.files()[segment.file].initial;
  std::vector<const std::uint8_t*> right;
  bool written = false;
  bool zeros = pos < initial.size;
  if (pos < initial.size && !is_cut_off(pos, kNoStep)) right.push_back(initial_bytes(initial, pos));
  for (const std::uint32_t i : writes_) {
    const UserWrite& write = log_.user_writes()[i];
    if (pos < write.pos || pos - write.pos >= write.len) continue;
    if (is_any(write)) return;
    if (write.kind != UserWrite::Kind::kBytes) {
      zeros = true;
    } else if (write.end == kNoStep || !is_cut_off(pos, write.end)) {
      right.push_back(write.bytes + (pos - write.pos));
      written = true;
    }
  }
  const std::uint8_t* found = bytes_after_recovery(pos);
  // Holes and unwritten blocks are zeros for certain, whoever came first to the disk.
  const bool hole = block_of(*metadata_, pos) == kernel::BLOCK_HOLE;
  if (zeros || !written || hole) right.push_back(nullptr);
  if (!matches(found, right, segment.len)) {
    note(segment, found, right, BrokenPromise::kStart);
  }
}

void PromiseCheck::note(const Segment& segment, const std::uint8_t* found,
                        const std::vector<const std::uint8_t*>& right, std::uint32_t write) {
  const bool beyond = segment.pos >= metadata_->size;
  for (std::size_t i = 0; i < segment.len; ++i) {
    const std::uint8_t byte = found == nullptr ? 0 : found[i];
    const bool is_right =
        !beyond && std::any_of(right.begin(), right.end(), [&](const std::uint8_t* bytes) {
          return (bytes == nullptr ? 0 : bytes[i]) == byte;
        });
    if (is_right) continue;
    const std::uint64_t pos = segment.pos + i;
    if (!broken_) {
      const char* where = !exposed_   ? where_of(segment.pos)
                          : byte == 0 ? "size beyond data"
                                      : "stale block";
      broken_ = BrokenPromise{index_, segment.file, pos, pos, 0, 0, write, where, exposed_};
    }
    broken_->last = pos;
    ++broken_->bytes;
    if (byte == 0) ++broken_->zeros;
  }
}

const char* PromiseCheck::where_of(std::uint64_t pos) const {
  if (pos >= metadata_->size) return "size on disk";
  const std::uint64_t block = block_of(*metadata_, pos);
  if (block == kernel::BLOCK_HOLE) return "block map";
  const auto changed = find(block);
  return changed != blocks_.end() && changed->damaged ? "device cache" : "block";
}

std::uint64_t PromiseCheck::block_of(const CrashLog::Metadata& metadata, std::uint64_t pos) const {
  const std::uint64_t index = pos / oracle_.geometry_.block_size;
  return index < metadata.blocks.size() ? metadata.blocks[index] : kernel::BLOCK_HOLE;
}

std::vector<CrashOracle::Block>::const_iterator PromiseCheck::find(std::uint64_t block) const {
  return std::find_if(blocks_.begin(), blocks_.end(),
                      [&](const CrashOracle::Block& each) { return each.block == block; });
}

const std::uint8_t* PromiseCheck::bytes_after_recovery(std::uint64_t pos) const {
  const auto changed = find(block_of(*metadata_, pos));
  if (changed == blocks_.end()) return initial_bytes(*metadata_, pos);
  return changed->bytes.data() + pos % oracle_.geometry_.block_size;
}

const std::uint8_t* PromiseCheck::initial_bytes(const CrashLog::Metadata& metadata,
                                                std::uint64_t pos) const {
  const std::uint64_t block = block_of(metadata, pos);
  const std::uint8_t* bytes = block == kernel::BLOCK_HOLE ? nullptr : log_.initial_block(block);
  return bytes == nullptr ? nullptr : bytes + pos % oracle_.geometry_.block_size;
}

}  // namespace interleaf
