// SPDX-License-Identifier: GPL-2.0-only
#include "engine/end_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xarray.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

using kernel::block_kind;

std::uint64_t block_size() { return kernel::this_machine().geo.block_size; }

std::uint64_t blocks_before_end(const kernel::inode& node) {
  return (static_cast<std::uint64_t>(node.i_size.peek()) + block_size() - 1) / block_size();
}

// Its task ended in the middle of what it did, with all that it held.
bool a_task_died() {
  const auto fatal = [](const Finding& finding) {
    switch (finding.kind) {
      case FindingKind::kUseAfterFree:
      case FindingKind::kKernelBug:
      case FindingKind::kRefcount:
      case FindingKind::kLivelock:
      case FindingKind::kSleepInAtomic:
        return true;
      default:
        return false;
    }
  };
  const auto findings = Scheduler::current()->findings();
  return std::any_of(findings.begin(), findings.end(), fatal);
}

// The folio that has the page, and the cache's marks of it.
struct Cached {
  const kernel::folio* folio = nullptr;
  unsigned marks = 0;
};

Cached cached(const kernel::inode& node, std::uint64_t page) {
  const kernel::xa_peeked found = kernel::xa_peek(&node.i_mapping->i_pages, page);
  if (found.entry == nullptr || kernel::xa_is_value(found.entry)) return {};
  return {static_cast<const kernel::folio*>(found.entry), found.marks};
}

// Pages that there can be something of: the cache has none behind the longest map and the end.
std::uint64_t pages_of(const kernel::inode& node) {
  const std::uint64_t blocks =
      std::max(blocks_before_end(node), node.i_sb->s_op->peek_block_count(&node));
  return (blocks * block_size() + kernel::page_size() - 1) / kernel::page_size();
}

}  // namespace

void EndChecks::report(const char* what, const std::string& message) {
  Scheduler::current()->report(FindingKind::kKernelWarning, what, message, false);
}

void EndChecks::quiet() {
  if (Scheduler::current() == nullptr || a_task_died()) return;
  check_counts();
  for (const kernel::inode* node : sb_.inodes) {
    check_reservations(*node, false);
    check_cache(*node);
    check_size(*node);
  }
}

void EndChecks::synced() {
  if (Scheduler::current() == nullptr || a_task_died()) return;
  for (const kernel::inode* node : sb_.inodes) {
    check_reservations(*node, true);
    check_behind_end(*node);
  }
}

void EndChecks::check_counts() {
  if (sb_.s_op->peek_reservations == nullptr) return;
  std::uint64_t sum = 0;
  for (const kernel::inode* node : sb_.inodes) {
    const kernel::inode_reservations has = sb_.s_op->peek_reservations(node);
    sum += has.data + has.copies;
    if (has.counted == has.data + has.copies) continue;
    counts_told_ = true;
    report("count of reservations", fmt::format("{} counts {} reserved blocks and has {}",
                                                node->name, has.counted, has.data + has.copies));
  }
  const std::uint64_t counted = sb_.s_op->peek_reserved(&sb_);
  if (counted == sum || counts_told_) return;
  counts_told_ = true;
  report("count of reservations",
         fmt::format("the filesystem counts {} reserved blocks, its files have {}", counted, sum));
}

EndChecks::Blocks EndChecks::reserved_runs(const kernel::inode& node) const {
  Blocks runs;
  const std::uint64_t end = std::min(blocks_before_end(node), sb_.s_op->peek_block_count(&node));
  for (std::uint64_t at = 0; at < end; ++at) {
    if (sb_.s_op->peek_block(&node, at).kind != block_kind::DELALLOC) continue;
    if (!runs.empty() && runs.back().end == at) {
      ++runs.back().end;
    } else {
      runs.push_back({at, at + 1});
    }
  }
  return runs;
}

bool EndChecks::in_use(const kernel::inode& node, const ByteRange& blocks) const {
  const std::uint64_t page_size = kernel::page_size();
  const std::uint64_t end = blocks.end * block_size();
  for (std::uint64_t pos = blocks.begin * block_size(); pos < end;) {
    const std::uint64_t stop = std::min(end, (pos / page_size + 1) * page_size);
    if (const kernel::folio* folio = cached(node, pos / page_size).folio) {
      if (folio->lock.peek_locked() || folio->flags.peek(kernel::PG_writeback)) return true;
      const std::uint64_t offset = pos - folio->index.peek() * page_size;
      if (folio->flags.peek(kernel::PG_dirty) &&
          sb_.s_op->peek_dirty(folio, offset, stop - pos).value_or(true)) {
        return true;
      }
    }
    pos = stop;
  }
  return false;
}

void EndChecks::check_reservations(const kernel::inode& node, bool synced) {
  if (sb_.s_op->peek_reservations == nullptr) return;
  // What was told while data was dirty beside it is the same leak still.
  if (synced && told_ != 0) return;
  for (const ByteRange& run : reserved_runs(node)) {
    if (!synced && in_use(node, run)) continue;
    told_ += run.end - run.begin;
    if (oracle_.is_told(node, run.begin * block_size(), run.end * block_size())) continue;
    report("reservation without dirty data",
           fmt::format("blocks {}..{} of {} are reserved, and nothing is dirty over them: leaked",
                       run.begin, run.end - 1, node.name));
  }
}

void EndChecks::check_behind_end(const kernel::inode& node) {
  if (sb_.s_op->peek_reservations == nullptr) return;
  const kernel::inode_reservations has = sb_.s_op->peek_reservations(&node);
  std::uint64_t behind = 0;
  const std::uint64_t end = sb_.s_op->peek_block_count(&node);
  for (std::uint64_t at = blocks_before_end(node); at < end; ++at) {
    behind += sb_.s_op->peek_block(&node, at).kind == block_kind::DELALLOC ? 1 : 0;
  }
  if (behind != 0 && !has.behind_end) {
    told_ += behind;
    report("reservation behind the end",
           fmt::format("{} blocks behind the end of {} are reserved, and not on purpose: leaked",
                       behind, node.name));
  }
  if (has.copies != 0 && !has.copies_kept) {
    told_ += has.copies;
    report("reservation of a copy",
           fmt::format("{} blocks of {} are reserved for copies, and nothing is dirty over them: "
                       "leaked",
                       has.copies, node.name));
  }
}

void EndChecks::check_cache(const kernel::inode& node) {
  const std::uint64_t pages = pages_of(node);
  for (std::uint64_t page = 0; page < pages;) {
    const auto [folio, marks] = cached(node, page);
    if (folio == nullptr) {
      ++page;
      continue;
    }
    page = folio->index.peek() + kernel::folio_nr_pages(folio);
    const bool dirty = folio->flags.peek(kernel::PG_dirty);
    const bool writeback = folio->flags.peek(kernel::PG_writeback);
    const bool tagged_dirty = (marks >> kernel::PAGECACHE_TAG_DIRTY & 1) != 0;
    const bool tagged_writeback = (marks >> kernel::PAGECACHE_TAG_WRITEBACK & 1) != 0;
    if ((dirty && !tagged_dirty) || writeback != tagged_writeback) {
      report("tags of the page cache",
             fmt::format("folio {} of {}: {}dirty with{} its tag, {}under writeback with{} its tag",
                         folio->number, node.name, dirty ? "" : "not ", tagged_dirty ? "" : "out",
                         writeback ? "" : "not ", tagged_writeback ? "" : "out"));
    }
    if (dirty || writeback || sb_.s_op->peek_dirty == nullptr) continue;
    if (sb_.s_op->peek_dirty(folio, 0, kernel::folio_size(folio)).value_or(false)) {
      report("dirty block of a clean folio",
             fmt::format("folio {} of {} is clean and has dirty blocks: nobody will write them",
                         folio->number, node.name));
    }
  }
}

void EndChecks::check_size(const kernel::inode& node) {
  if (node.i_disksize.peek() <= node.i_size.peek()) return;
  report("size on disk", fmt::format("the disk has size {} for {}, which has {} bytes",
                                     node.i_disksize.peek(), node.name, node.i_size.peek()));
}

void EndChecks::evicted() {
  if (Scheduler::current() == nullptr || a_task_died()) return;
  if (sb_.s_op->peek_reserved == nullptr) return;
  const std::uint64_t reserved = sb_.s_op->peek_reserved(&sb_);
  // What was told as leaked may have been given back.
  if (reserved > told_ && !counts_told_) {
    report(
        "reserved space",
        fmt::format("{} blocks are reserved still when all files are gone from memory", reserved));
  }
  check_free();
}

// What was allocated is some file's, or was freed.
void EndChecks::check_free() {
  std::vector<std::uint64_t> mapped;
  const auto add = [&](const kernel::block_state& there) {
    if (there.block != kernel::BLOCK_HOLE) mapped.push_back(there.block);
  };
  for (const kernel::inode* node : sb_.inodes) {
    const std::uint64_t blocks = sb_.s_op->peek_block_count(node);
    for (std::uint64_t at = 0; at < blocks; ++at) add(sb_.s_op->peek_block(node, at));
    if (sb_.s_op->peek_copy == nullptr) continue;
    const std::uint64_t copies = sb_.s_op->peek_copy_count(node);
    for (std::uint64_t at = 0; at < copies; ++at) add(sb_.s_op->peek_copy(node, at));
  }
  std::sort(mapped.begin(), mapped.end());
  mapped.erase(std::unique(mapped.begin(), mapped.end()), mapped.end());
  const std::uint64_t in_use = sb_.next_block - sb_.freed_blocks;
  if (in_use == mapped.size()) return;
  report("free space",
         fmt::format("{} blocks of the disk are in use, and files have {}", in_use, mapped.size()));
}

void unmount_and_check(Oracle& oracle) {
  kernel::super_block* sb = kernel::this_machine().sb;
  EndChecks checks(*sb, oracle);
  oracle.check_all(false);
  oracle.check_dirty();
  checks.quiet();
  kernel::sync_filesystem(sb);
  oracle.check_all(true);
  oracle.check_dropped();
  checks.synced();
  kernel::generic_shutdown_super(sb);
  checks.evicted();
}

}  // namespace interleaf
