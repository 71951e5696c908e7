// SPDX-License-Identifier: GPL-2.0-only
// Oracle: what is left at the end of a run, beside what is known of the bytes. Dirty data must have
// somewhere to go; and what the cache shows must be on the disk once it has been written back.
#include <fmt/format.h>

#include <algorithm>

#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/xarray.h"
#include "engine/oracle.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

// A folio in the cache that has the byte, or null.
const kernel::folio* folio_at(const kernel::inode& node, std::uint64_t pos) {
  void* entry = kernel::xa_peek(&node.i_mapping->i_pages, pos / kernel::page_size()).entry;
  if (entry == nullptr || kernel::xa_is_value(entry)) return nullptr;
  return static_cast<const kernel::folio*>(entry);
}

// Would writeback write these bytes of one block?
bool is_dirty(const kernel::inode& node, const kernel::folio& folio, std::uint64_t pos,
              std::uint64_t len) {
  if (!folio.flags.peek(kernel::PG_dirty)) return false;
  const auto peek = node.i_sb->s_op->peek_dirty;
  const std::uint64_t offset = pos - folio.index.peek() * kernel::page_size();
  return peek == nullptr || peek(&folio, offset, len).value_or(true);
}

bool has_place(const kernel::inode& node, std::uint64_t block) {
  const kernel::super_operations& op = *node.i_sb->s_op;
  return op.peek_block(&node, block).kind != kernel::block_kind::HOLE ||
         (op.peek_copy != nullptr && op.peek_copy(&node, block).kind != kernel::block_kind::HOLE);
}

}  // namespace

// Bytes in a dirty block that a user has written, and that are no zeros.
std::uint64_t Oracle::users_bytes(const File& file, std::uint64_t pos, std::uint64_t end) const {
  const std::uint8_t* const shown = cached_page(*file.node, pos, end - pos);
  if (shown == nullptr) return 0;
  std::uint64_t count = 0;
  for (std::uint64_t at = pos; at < end; ++at) {
    const std::uint8_t wanted = expected(file, at);
    count += wanted != 0 && shown[at % kernel::page_size()] == wanted ? 1 : 0;
  }
  return count;
}

void Oracle::check_dirty() {
  const std::uint64_t block_size = kernel::this_machine().geo.block_size;
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  for (const File* file : files_) {
    const kernel::inode& node = *file->node;
    const std::uint64_t size =
        std::min<std::uint64_t>(file->size, static_cast<std::uint64_t>(node.i_size.peek()));
    Range bad;
    std::uint64_t bytes = 0;
    for (std::uint64_t pos = 0; pos < size; pos += block_size) {
      const std::uint64_t end = std::min(size, pos + block_size);
      const kernel::folio* folio = folio_at(node, pos);
      if (folio == nullptr || !is_dirty(node, *folio, pos, end - pos) ||
          has_place(node, pos / block_size)) {
        continue;
      }
      const std::uint64_t users = users_bytes(*file, pos, end);
      if (users == 0) continue;
      bad.add(pos / block_size, 0);
      bytes += users;
    }
    if (bytes == 0) continue;
    s->report(
        FindingKind::kKernelWarning, "dirty block without space",
        fmt::format("{} of the blocks {}..{} of {} are dirty, with {} bytes that a user wrote, "
                    "and have neither a place on the disk nor a reservation",
                    bad.bytes, bad.begin, bad.end - 1, node.name, bytes),
        false);
  }
}

void Oracle::check_dropped() {
  const std::uint64_t block_size = kernel::this_machine().geo.block_size;
  for (File* file : files_) {
    const kernel::inode& node = *file->node;
    const auto size = static_cast<std::uint64_t>(node.i_size.peek());
    Wrong wrong;
    for (std::uint64_t pos = 0; pos < size; pos += block_size) {
      const std::uint64_t end = std::min(size, pos + block_size);
      const kernel::folio* folio = folio_at(node, pos);
      if (folio == nullptr || is_dirty(node, *folio, pos, end - pos)) continue;
      const std::uint8_t* const shown = cached_page(node, pos, end - pos);
      if (shown != nullptr) compare_with_disk(*file, pos, end, shown, wrong);
    }
    report_dropped(*file, wrong.lost, FindingKind::kLostDirtyData);
    report_dropped(*file, wrong.stale, FindingKind::kStaleData);
  }
}

bool Oracle::is_told(const kernel::inode& node, std::uint64_t begin, std::uint64_t end) const {
  return std::any_of(files_.begin(), files_.end(), [&](const File* file) {
    return file->node == &node && file->excused.overlaps(begin, end);
  });
}

// Stale is what should be zeros and will not be, or what the disk has right and the cache has not.
void Oracle::compare_with_disk(const File& file, std::uint64_t pos, std::uint64_t end,
                               const std::uint8_t* page, Wrong& wrong) const {
  const std::uint8_t* const disk = disk_bytes(*file.node, pos);
  for (std::uint64_t at = pos; at < end; ++at) {
    const std::uint8_t seen = page[at % kernel::page_size()];
    const std::uint8_t there = disk == nullptr ? 0 : disk[at - pos];
    if (seen == there || file.excused.contains(at)) continue;
    const bool stale = seen == 0 || there == expected(file, at);
    (stale ? wrong.stale : wrong.lost).add(at, there);
  }
}

void Oracle::report_dropped(const File& file, const Range& range, FindingKind kind) {
  Scheduler* s = Scheduler::current();
  if (range.bytes == 0 || s == nullptr) return;
  s->report(kind, "dropped cache",
            fmt::format("{} of the bytes {}..{} of {} are in the cache, clean, and the disk has "
                        "others, {} of them zeros: a read finds those once the cache is dropped",
                        range.bytes, range.begin, range.end - 1, file.node->name, range.zeros),
            false);
}

}  // namespace interleaf
