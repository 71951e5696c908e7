// SPDX-License-Identifier: GPL-2.0-only
// Oracle: calls that change bytes otherwise than by writing them: zeroed, moved, cloned.
#include <algorithm>
#include <cstdlib>

#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/oracle.h"

namespace interleaf {

using kernel::loff_t;

unsigned Oracle::zero_begin(kernel::inode& node, loff_t pos, loff_t len) {
  const auto begin = static_cast<std::uint64_t>(pos);
  return add({.kind = Change::Kind::kZero,
              .file = &file_of(node),
              .pos = begin,
              .end = begin + static_cast<std::uint64_t>(len)});
}

unsigned Oracle::truncate_begin(kernel::inode& node) {
  return add({.kind = Change::Kind::kPending, .file = &file_of(node), .pos = 0, .end = kEndless});
}

void Oracle::truncate_range(unsigned handle, loff_t pos, loff_t len) {
  Change& change = changes_[handle];
  File& file = *change.file;
  change.kind = Change::Kind::kZero;
  change.pos = static_cast<std::uint64_t>(pos);
  change.end = len < 0 ? kEndless : change.pos + static_cast<std::uint64_t>(len);
  touch_begin(file, change.pos, change.end);
  // From here on the bytes may have been taken away.
  if (len < 0) {
    touch_size(Op::kWrite, file);
    file.size = std::min(file.size, change.pos);
  }
}

void Oracle::zero_end(unsigned handle, bool done) {
  Change& zeroing = changes_[handle];
  File& file = *zeroing.file;
  finish(zeroing, done ? zeroing.end : zeroing.pos);
  if (!done) {
    file.alternatives.push_back({zeroing.pos, zeroing.end - zeroing.pos, nullptr});
    return;
  }
  keep_alternatives(zeroing, zeroing.end);
  store_zeros(file, zeroing.pos, zeroing.end);
  file.zeroed.add(zeroing.pos, zeroing.end);
  if (zeroing.end == kEndless) {
    file.size = std::min(file.size, zeroing.pos);
    return;
  }
  // What a call zeroes behind the end of the file is nobody's.
  const auto size = static_cast<std::uint64_t>(file.node->i_size.look());
  file.size = std::max(file.size, std::min(zeroing.end, size));
  check(file, zeroing.pos, zeroing.end, true, "the call that zeroed them returned", nullptr);
}

void Oracle::store_zeros(File& file, std::uint64_t pos, std::uint64_t end) {
  const std::uint64_t page_size = kernel::page_size();
  // So far they can be checked at the end of the run.
  constexpr std::uint64_t kPagesMax = 65536;
  if (end != kEndless && end <= kPagesMax * page_size) {
    file.pages.resize(std::max<std::size_t>(file.pages.size(), (end + page_size - 1) / page_size));
  }
  for (std::uint64_t at = pos; at < end && at / page_size < file.pages.size();) {
    const std::uint64_t part = std::min(end - at, page_size - at % page_size);
    if (part == page_size) {
      set_page(file.pages[at / page_size], nullptr);
    } else {
      store(file, at, zero_page(), part);
    }
    at += part;
  }
}

bool Oracle::uncertain(const File& file, std::uint64_t begin, std::uint64_t end) const {
  const auto overlaps = [&](std::uint64_t pos, std::uint64_t stop) {
    return begin < stop && pos < end;
  };
  return std::any_of(changes_.begin(), changes_.end(),
                     [&](const Change& change) {
                       return change.running && change.kind != Change::Kind::kPending &&
                              change.file == &file && overlaps(change.pos, change.end);
                     }) ||
         std::any_of(file.alternatives.begin(), file.alternatives.end(), [&](const auto& other) {
           return overlaps(other.pos, other.pos + std::min(other.len, kEndless - other.pos));
         });
}

unsigned Oracle::shift_begin(kernel::inode& node, loff_t pos, loff_t shift) {
  const unsigned handle = add({.kind = Change::Kind::kMove,
                               .file = &file_of(node),
                               .pos = static_cast<std::uint64_t>(pos),
                               .end = kEndless,
                               .shift = shift});
  return handle;
}

void Oracle::shift_end(unsigned handle, bool done) {
  Change& change = changes_[handle];
  File& file = *change.file;
  finish(change, done ? change.end : change.pos);
  if (!done || !change.met.empty() || uncertain(file, change.pos, change.end)) {
    file.alternatives.push_back({change.pos, change.end - change.pos, nullptr});
  }
  if (done) move(change);
}

// The bytes behind `pos` are where the call has put them.
void Oracle::move(Change& change) {
  File& file = *change.file;
  const std::uint64_t gap = static_cast<std::uint64_t>(std::abs(change.shift));
  const std::uint64_t from = change.shift < 0 ? change.pos + gap : change.pos;
  const std::uint64_t to = change.shift < 0 ? change.pos : change.pos + gap;
  const std::uint64_t len = file.size > from ? file.size - from : 0;
  auto* moved = new std::uint8_t[len + 1];
  for (std::uint64_t i = 0; i < len; ++i) moved[i] = expected(file, from + i);
  file.zeroed.remove(change.pos, kEndless);
  file.size = std::min(file.size, change.pos);
  store_zeros(file, change.pos, kEndless);
  if (change.shift > 0) {
    store_zeros(file, change.pos, to);
    file.zeroed.add(change.pos, to);
    file.size = to;
  }
  if (len != 0) store(file, to, moved, len);
  file.size = std::max(file.size, to + len);
}

unsigned Oracle::clone_begin(kernel::inode& in, loff_t in_pos, kernel::inode& out, loff_t out_pos,
                             loff_t len) {
  File& source = file_of(in);
  const auto pos = static_cast<std::uint64_t>(out_pos);
  const auto from = static_cast<std::uint64_t>(in_pos);
  const std::uint64_t size = std::max<std::uint64_t>(source.size, from);
  const std::uint64_t count = len != 0 ? static_cast<std::uint64_t>(len) : size - from;
  touch_size(Op::kRead, source);
  touch(Op::kRead, &PageObjects::data, source, from, from + count);
  return add({.kind = Change::Kind::kMove,
              .file = &file_of(out),
              .pos = pos,
              .end = pos + count,
              .source = &source,
              .source_pos = from});
}

void Oracle::clone_end(unsigned handle, loff_t done) {
  Change& change = changes_[handle];
  const std::uint64_t end = change.pos + (done > 0 ? static_cast<std::uint64_t>(done) : 0);
  finish(change, end);
  if (end < change.end) {
    change.file->alternatives.push_back({end, change.end - end, nullptr});
  }
  if (end > change.pos) clone(change, end);
}

void Oracle::clone(Change& change, std::uint64_t end) {
  File& file = *change.file;
  const std::uint64_t len = end - change.pos;
  look(*change.source, change.source_pos, change.source_pos + len);
  const bool certain = !change.source_changed &&
                       !uncertain(*change.source, change.source_pos, change.source_pos + len);
  auto* bytes = new std::uint8_t[len];
  for (std::uint64_t i = 0; i < len; ++i)
    bytes[i] = expected(*change.source, change.source_pos + i);
  keep_alternatives(change, end);
  store(file, change.pos, bytes, len);
  file.zeroed.remove(change.pos, end);
  file.size = std::max(file.size, end);
  if (!certain) file.alternatives.push_back({change.pos, len, nullptr});
  change.source = nullptr;
  check(file, change.pos, end, true, "the clone was acknowledged", nullptr);
}

// A call that makes the file longer may have zeroed the bytes already, or not yet.
void Oracle::store_behind_end(kernel::inode& node, loff_t pos, std::size_t len) {
  File& file = file_of(node);
  const auto begin = static_cast<std::uint64_t>(pos);
  touch(Op::kRead, &PageObjects::running, file, begin, begin + len);
  bool grows = false;
  for (Change& change : changes_) {
    if (!change.running || change.file != &file || change.end <= begin) continue;
    change.met.push_back({begin, begin + len});
    grows = true;
  }
  if (!grows) return;
  touch(Op::kWrite, &PageObjects::data, file, begin, begin + len);
  file.alternatives.push_back({begin, len, nullptr});
}

}  // namespace interleaf
