// SPDX-License-Identifier: GPL-2.0-only
// Oracle: where the bytes of a file are, and whether they are right.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/kernel/block.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/xarray.h"
#include "engine/oracle.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

using kernel::loff_t;

// What a folio has for a page of its file.
const std::uint8_t* contents_of(const kernel::folio& folio, std::uint64_t page) {
  const std::uint64_t within = page - folio.index.look();
  if (Scheduler* s = Scheduler::current()) {
    s->also(Op::kRead, folio.content_numbers[within], &folio.content_numbers[within]);
  }
  return folio.contents + within * kernel::page_size();
}

}  // namespace

const std::uint8_t* Oracle::disk_bytes(const kernel::inode& node, std::uint64_t pos) {
  const std::uint64_t block = pos / kernel::this_machine().geo.block_size;
  const auto [kind, where] = node.i_sb->s_op->peek_block(&node, block);
  if (kind != kernel::block_kind::WRITTEN) return nullptr;
  const std::vector<const unsigned char*>& data = node.i_sb->s_bdev->data;
  return where >= data.size() ? nullptr : data[where];
}

const std::uint8_t* Oracle::cached_page(const kernel::inode& node, std::uint64_t pos,
                                        std::uint64_t len) const {
  const std::uint64_t page = pos / kernel::page_size();
  void* entry = kernel::xa_peek(&node.i_mapping->i_pages, page).entry;
  if (entry != nullptr && !kernel::xa_is_value(entry)) {
    auto* folio = static_cast<kernel::folio*>(entry);
    const auto uptodate = node.i_sb->s_op->peek_uptodate;
    if (folio->flags.look(kernel::PG_uptodate) ||
        (uptodate != nullptr &&
         uptodate(folio, pos - folio->index.look() * kernel::page_size(), len))) {
      return contents_of(*folio, page);
    }
  }
  for (const Aside& aside : aside_) {
    if (aside.node == &node && page - aside.index < aside.pages) {
      return contents_of(*aside.folio, page);
    }
  }
  return nullptr;
}

void Oracle::Range::add(std::uint64_t at, std::uint8_t found) {
  if (bytes++ == 0) begin = at;
  end = at + 1;
  zeros += found == 0;
}

bool Oracle::check_page(File& file, std::uint64_t page, std::uint64_t begin, std::uint64_t end,
                        bool look_in_cache, Wrong& wrong) {
  const std::uint64_t page_size = kernel::page_size();
  const unsigned block_size = kernel::this_machine().geo.block_size;
  const std::uint8_t* wanted = file.pages[page].bytes;
  if (wanted == nullptr) wanted = zero_page();
  const std::uint8_t* const all =
      look_in_cache ? cached_page(*file.node, begin, end - begin) : nullptr;
  const std::uint64_t offset = begin % page_size;
  if (all != nullptr && std::memcmp(all + offset, wanted + offset, end - begin) == 0) return true;
  const bool zeroed = file.zeroed.overlaps(begin, end);
  const bool others = has_others(file);
  bool whole = true;
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t block = at / block_size;
    const std::uint64_t stop = std::min(end, (block + 1) * block_size);
    const std::uint8_t* disk = disk_bytes(*file.node, block * block_size);
    disk = (disk == nullptr ? zero_page() : disk) + at % block_size;
    const std::uint8_t* want = wanted + at % page_size;
    const bool differs = disk != want && std::memcmp(disk, want, stop - at) != 0;
    // A folio that is not uptodate may have blocks that are.
    const std::uint8_t* const cached =
        all != nullptr || !look_in_cache ? all : cached_page(*file.node, at, stop - at);
    if ((differs || (zeroed && cached != nullptr)) && !(others && anything_goes(file, at, stop))) {
      for (std::uint64_t i = 0; at + i < stop; ++i) {
        const std::uint8_t seen = cached != nullptr ? cached[(at + i) % page_size] : disk[i];
        const bool stale = zeroed && want[i] == 0 && file.zeroed.contains(at + i);
        if (seen == want[i] || (!stale && disk[i] == want[i])) continue;
        if (others && (taken(file, at + i) || allowed(file, at + i, seen))) continue;
        (stale ? wrong.stale : wrong.lost).add(at + i, stale ? seen : disk[i]);
        whole = false;
      }
    }
    at = stop;
  }
  return whole;
}

void Oracle::check(File& file, std::uint64_t pos, std::uint64_t end, bool look_in_cache,
                   const char* event, const kernel::folio* gone) {
  const std::uint64_t page_size = kernel::page_size();
  look(file, pos, end);
  end = std::min({end, file.size, file.pages.size() * page_size});
  touch(Op::kRead, &PageObjects::disk, file, pos, end);
  touch(Op::kRead, &PageObjects::cache, file, pos, end);
  Wrong wrong;
  while (pos < end) {
    const std::uint64_t stop = std::min(end, (pos / page_size + 1) * page_size);
    check_page(file, pos / page_size, pos, stop, look_in_cache, wrong);
    pos = stop;
  }
  if (wrong.lost.bytes != 0) report_lost(file, wrong.lost, event, gone);
  if (wrong.stale.bytes != 0) report_stale(file, wrong.stale, event);
}

void Oracle::report_lost(File& file, const Range& lost, const char* event,
                         const kernel::folio* gone) {
  // Told once: from here on these bytes may be anything.
  touch(Op::kWrite, &PageObjects::data, file, lost.begin, lost.end);
  file.alternatives.push_back({lost.begin, lost.end - lost.begin, nullptr});
  file.excused.add(lost.begin, lost.end);
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  std::string source = "acknowledged";
  for (const Change& change : changes_) {
    if (change.kind == Change::Kind::kWrite && change.file == &file && !change.running &&
        change.pos < lost.end && lost.begin < change.end) {
      source = fmt::format("acknowledged by write #{}", change.number);
    }
  }
  std::vector<std::string> details;
  details.push_back(fmt::format("{} of {} bytes there now are zero", lost.zeros, lost.bytes));
  if (gone != nullptr) {
    for (const Cancelled& cancelled : cancelled_) {
      if (cancelled.folio != gone->number) continue;
      details.push_back(fmt::format("PG_dirty of folio {} was cancelled at step {}", gone->number,
                                    cancelled.step));
    }
  }
  s->report(FindingKind::kLostDirtyData, "folio",
            fmt::format("bytes {}..{} of {}, {}, are lost: {}", lost.begin, lost.end - 1,
                        file.node->name, source, event),
            false, std::move(details));
}

// Told once, as what is lost.
void Oracle::report_stale(File& file, const Range& stale, const char* event) {
  touch(Op::kWrite, &PageObjects::data, file, stale.begin, stale.end);
  file.alternatives.push_back({stale.begin, stale.end - stale.begin, nullptr});
  file.excused.add(stale.begin, stale.end);
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  s->report(FindingKind::kStaleData, "zeroed range",
            fmt::format("bytes {}..{} of {} were zeroed, and {} of them are not zero: {}",
                        stale.begin, stale.end - 1, file.node->name, stale.bytes, event),
            false);
}

void Oracle::dirty_cancelled(kernel::folio& f) {
  const Scheduler* s = Scheduler::current();
  if (s != nullptr) cancelled_.push_back({f.number, s->step()});
}

void Oracle::folio_removed(kernel::inode& node, kernel::folio& f, kernel::folio*) {
  const std::uint64_t pos = f.index.look() * kernel::page_size();
  touch(Op::kWrite, &PageObjects::cache, file_of(node), pos, pos + kernel::folio_size(&f));
  check(file_of(node), pos, pos + kernel::folio_size(&f), true, "the last copy left the page cache",
        &f);
}

void Oracle::folio_set_aside(kernel::inode& node, kernel::folio& f, bool aside) {
  const std::uint64_t index = f.index.look();
  const std::uint64_t pos = index * kernel::page_size();
  touch(Op::kWrite, &PageObjects::cache, file_of(node), pos, pos + kernel::folio_size(&f));
  std::erase_if(aside_, [&](const Aside& other) { return other.folio == &f; });
  if (aside) aside_.push_back({&node, &f, index, kernel::folio_nr_pages(&f)});
}

void Oracle::block_written(kernel::inode& node, loff_t pos, std::size_t len) {
  const auto begin = static_cast<std::uint64_t>(pos);
  touch(Op::kWrite, &PageObjects::disk, file_of(node), begin, begin + len);
  file_of(node).excused.remove(begin, begin + len);
  check(file_of(node), begin, begin + len, true, "the last copy was overwritten on disk", nullptr);
}

void Oracle::write_error(kernel::inode& node, loff_t pos, std::size_t len) {
  File& file = file_of(node);
  const auto begin = static_cast<std::uint64_t>(pos);
  touch(Op::kWrite, &PageObjects::data, file, begin, begin + len);
  file.alternatives.push_back({begin, len, nullptr});
  file.excused.add(begin, begin + len);
}

void Oracle::sync_promised(kernel::inode&) {}

void Oracle::check_all(bool disk_only) {
  for (File* file : files_) {
    check(*file, 0, file->size, !disk_only,
          disk_only ? "not on disk after a clean unmount"
                    : "neither in the cache nor on disk at the end",
          nullptr);
  }
}

}  // namespace interleaf
