// SPDX-License-Identifier: GPL-2.0-only
#include "engine/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/kernel/block.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/xarray.h"
#include "scheduler/check.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

using kernel::loff_t;

const std::uint8_t* zero_page() {
  static const std::uint8_t zeros[65536] = {};
  return zeros;
}

// What a folio has for a page of its file.
const std::uint8_t* contents_of(const kernel::folio& folio, std::uint64_t page) {
  const std::uint64_t within = page - folio.index.look();
  if (Scheduler* s = Scheduler::current()) {
    s->also(Op::kRead, folio.content_numbers[within], &folio.content_numbers[within]);
  }
  return folio.contents + within * kernel::page_size();
}

// What the disk has for a block of the file.
const std::uint8_t* disk_block(const kernel::inode& node, std::uint64_t block) {
  const auto [kind, where] = node.i_sb->s_op->peek_block(&node, block);
  if (kind != kernel::block_kind::WRITTEN) return zero_page();
  const std::vector<const unsigned char*>& data = node.i_sb->s_bdev->data;
  return where >= data.size() || data[where] == nullptr ? zero_page() : data[where];
}

bool overlap(std::uint64_t a, std::uint64_t a_len, std::uint64_t b, std::uint64_t b_len) {
  return a < b + b_len && b < a + a_len;
}

}  // namespace

void Oracle::add_file(kernel::inode& node, std::uint64_t size,
                      const std::vector<std::uint8_t>& image) {
  auto* file = new File();
  file->node = &node;
  file->size = size;
  const unsigned page_size = kernel::page_size();
  file->pages.resize((size + page_size - 1) / page_size);
  for (std::size_t i = 0; i < file->pages.size() && !image.empty(); ++i) {
    file->pages[i].bytes = image.data() + i * page_size;
  }
  files_.push_back(file);
}

void Oracle::touch(Op op, ObjectNumber PageObjects::*object, File& file, std::uint64_t pos,
                   std::uint64_t end) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr || pos >= end) return;
  const std::uint64_t page_size = kernel::page_size();
  const std::uint64_t last = (end - 1) / page_size;
  while (file.objects.size() <= last) file.objects.push_back(new PageObjects());
  for (std::uint64_t page = pos / page_size; page <= last; ++page) {
    ObjectNumber& number = file.objects[page]->*object;
    s->also(op, number, &number);
  }
}

void Oracle::touch_size(Op op, File& file) {
  if (Scheduler* s = Scheduler::current()) s->also(op, file.size_number, &file.size_number);
}

// Behind the last page there is nothing but what a change of the size would bring.
void Oracle::look(File& file, std::uint64_t pos, std::uint64_t end) {
  touch_size(Op::kRead, file);
  end = std::min<std::uint64_t>(end, file.pages.size() * kernel::page_size());
  touch(Op::kRead, &PageObjects::running, file, pos, end);
  touch(Op::kRead, &PageObjects::data, file, pos, end);
}

Oracle::File& Oracle::file_of(const kernel::inode& node) {
  for (File* file : files_) {
    if (file->node == &node) return *file;
  }
  auto* file = new File();
  file->node = const_cast<kernel::inode*>(&node);
  files_.push_back(file);
  return *file;
}

unsigned Oracle::write_begin(kernel::inode& node, loff_t pos, const void* data, std::size_t len) {
  Write write{&file_of(node),
              static_cast<std::uint64_t>(pos),
              len,
              static_cast<const std::uint8_t*>(data),
              true,
              ++write_count_,
              0};
  touch(Op::kAcquireShared, &PageObjects::running, *write.file, write.pos, write.pos + len);
  // A finished write's place is free unless one that is running overlapped it.
  std::size_t slot = 0;
  while (slot < writes_.size() && writes_[slot].running) ++slot;
  if (slot == writes_.size()) {
    CHECK(slot < 64);
    writes_.push_back(write);
  } else {
    writes_[slot] = write;
  }
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    Write& other = writes_[i];
    if (i == slot || !other.running || other.file != write.file) continue;
    if (!overlap(other.pos, other.len, write.pos, write.len)) continue;
    other.overlaps |= std::uint64_t{1} << slot;
    writes_[slot].overlaps |= std::uint64_t{1} << i;
  }
  return static_cast<unsigned>(slot);
}

void Oracle::write_end(unsigned handle, long acknowledged) {
  Write& write = writes_[handle];
  write.running = false;
  File& file = *write.file;
  const std::uint64_t done = acknowledged > 0 ? static_cast<std::uint64_t>(acknowledged) : 0;
  touch(Op::kRead, &PageObjects::running, file, write.pos, write.pos + write.len);
  touch(Op::kWrite, &PageObjects::data, file, write.pos, write.pos + write.len);
  const bool longer = done > 0 && write.pos + done > file.size;
  touch_size(longer ? Op::kWrite : Op::kRead, file);
  if (done > 0) {
    for (Read& read : reads_) {
      if (!read.running || read.file != &file) continue;
      const std::uint64_t begin = std::max(read.pos, write.pos);
      const std::uint64_t end = std::min(read.pos + read.len, write.pos + done);
      if (begin >= end) continue;
      auto* old = new std::uint8_t[end - begin];
      for (std::uint64_t at = begin; at < end; ++at) old[at - begin] = expected(file, at);
      read.before.push_back({begin, end - begin, old});
    }
    const bool alone = write.overlaps == 0;
    if (alone) {
      forget_alternatives(file, write.pos, done);
    } else {
      // Either of the two contents may be the one that stayed.
      auto* old = new std::uint8_t[done];
      for (std::uint64_t i = 0; i < done; ++i) old[i] = expected(file, write.pos + i);
      file.alternatives.push_back({write.pos, done, old});
    }
    store(file, write.pos, write.bytes, done);
    file.size = std::max(file.size, write.pos + done);
  }
  if (done < write.len) {
    file.alternatives.push_back({write.pos + done, write.len - done, write.bytes + done});
  }
  if (done > 0)
    check(file, write.pos, write.pos + done, true, "the write was acknowledged", nullptr);
}

void Oracle::store(File& file, std::uint64_t pos, const std::uint8_t* bytes, std::uint64_t len) {
  const std::uint64_t page_size = kernel::page_size();
  while (len > 0) {
    const std::uint64_t index = pos / page_size;
    const std::uint64_t offset = pos % page_size;
    const std::uint64_t part = std::min(len, page_size - offset);
    if (file.pages.size() <= index) file.pages.resize(index + 1);
    Page& page = file.pages[index];
    if (part == page_size) {
      page = {bytes, false};  // the caller's bytes stay as they are for the whole run
    } else {
      if (!page.owned) {
        auto* copy = new std::uint8_t[page_size];
        std::memcpy(copy, page.bytes != nullptr ? page.bytes : zero_page(), page_size);
        page = {copy, true};
      }
      std::memcpy(const_cast<std::uint8_t*>(page.bytes) + offset, bytes, part);
    }
    pos += part;
    bytes += part;
    len -= part;
  }
}

void Oracle::forget_alternatives(File& file, std::uint64_t pos, std::uint64_t len) {
  std::erase_if(file.alternatives, [&](const Alternative& alternative) {
    return alternative.pos >= pos && alternative.pos + alternative.len <= pos + len;
  });
}

std::uint8_t Oracle::expected(const File& file, std::uint64_t pos) const {
  const std::uint64_t index = pos / kernel::page_size();
  if (index >= file.pages.size() || file.pages[index].bytes == nullptr) return 0;
  return file.pages[index].bytes[pos % kernel::page_size()];
}

bool Oracle::allowed(const File& file, std::uint64_t pos, std::uint8_t byte) const {
  auto covers = [&](std::uint64_t begin, std::uint64_t len, const std::uint8_t* bytes) {
    return pos >= begin && pos < begin + len && (bytes == nullptr || bytes[pos - begin] == byte);
  };
  for (const Alternative& alternative : file.alternatives) {
    if (covers(alternative.pos, alternative.len, alternative.bytes)) return true;
  }
  return std::any_of(writes_.begin(), writes_.end(), [&](const Write& write) {
    return write.running && write.file == &file && covers(write.pos, write.len, write.bytes);
  });
}

const std::uint8_t* Oracle::cached_page(const kernel::inode& node, std::uint64_t page) const {
  void* entry = kernel::xa_peek(&node.i_mapping->i_pages, page).entry;
  if (entry != nullptr && !kernel::xa_is_value(entry)) {
    const auto* folio = static_cast<const kernel::folio*>(entry);
    if (folio->flags.look(kernel::PG_uptodate)) return contents_of(*folio, page);
  }
  for (const Aside& aside : aside_) {
    if (aside.node == &node && page - aside.index < aside.pages) {
      return contents_of(*aside.folio, page);
    }
  }
  return nullptr;
}

bool Oracle::check_page(File& file, std::uint64_t page, std::uint64_t begin, std::uint64_t end,
                        bool look_in_cache, Range& lost) {
  const std::uint64_t page_size = kernel::page_size();
  const unsigned block_size = kernel::this_machine().geo.block_size;
  const std::uint8_t* wanted = file.pages[page].bytes;
  if (wanted == nullptr) wanted = zero_page();
  const std::uint8_t* cached = look_in_cache ? cached_page(*file.node, page) : nullptr;
  const std::uint64_t offset = begin % page_size;
  if (cached != nullptr && std::memcmp(cached + offset, wanted + offset, end - begin) == 0) {
    return true;
  }
  bool whole = true;
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t block = at / block_size;
    const std::uint64_t stop = std::min(end, (block + 1) * block_size);
    const std::uint8_t* disk = disk_block(*file.node, block) + at % block_size;
    const std::uint8_t* want = wanted + at % page_size;
    if (disk != want && std::memcmp(disk, want, stop - at) != 0) {
      for (std::uint64_t i = 0; at + i < stop; ++i) {
        const bool here =
            disk[i] == want[i] || (cached != nullptr && cached[(at + i) % page_size] == want[i]) ||
            allowed(file, at + i, cached != nullptr ? cached[(at + i) % page_size] : disk[i]);
        if (here) continue;
        if (lost.bytes == 0) lost.begin = at + i;
        lost.end = at + i + 1;
        ++lost.bytes;
        if (disk[i] == 0) ++lost.zeros;
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
  Range lost;
  while (pos < end) {
    const std::uint64_t stop = std::min(end, (pos / page_size + 1) * page_size);
    check_page(file, pos / page_size, pos, stop, look_in_cache, lost);
    pos = stop;
  }
  if (lost.bytes != 0) report_lost(file, lost, event, gone);
}

void Oracle::report_lost(File& file, const Range& lost, const char* event,
                         const kernel::folio* gone) {
  // Told once: from here on these bytes may be anything.
  touch(Op::kWrite, &PageObjects::data, file, lost.begin, lost.end);
  file.alternatives.push_back({lost.begin, lost.end - lost.begin, nullptr});
  Scheduler* s = Scheduler::current();
  if (s == nullptr) return;
  std::string source = "acknowledged";
  for (const Write& write : writes_) {
    if (write.file == &file && !write.running &&
        overlap(write.pos, write.len, lost.begin, lost.end - lost.begin)) {
      source = fmt::format("acknowledged by write #{}", write.number);
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

unsigned Oracle::read_begin(kernel::inode& node, loff_t pos, std::size_t len) {
  Read read{&file_of(node), static_cast<std::uint64_t>(pos), len, true, {}};
  File& file = *read.file;
  touch_size(Op::kRead, file);
  touch(Op::kRead, &PageObjects::data, file, read.pos,
        std::min<std::uint64_t>(read.pos + len, file.pages.size() * kernel::page_size()));
  for (std::size_t slot = 0; slot < reads_.size(); ++slot) {
    if (reads_[slot].running) continue;
    reads_[slot] = std::move(read);
    return static_cast<unsigned>(slot);
  }
  reads_.push_back(std::move(read));
  return static_cast<unsigned>(reads_.size() - 1);
}

void Oracle::read_end(unsigned handle, const void* data, long got) {
  Read& read = reads_[handle];
  read.running = false;
  if (got <= 0) return;
  File& file = *read.file;
  look(file, read.pos, read.pos + static_cast<std::uint64_t>(got));
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  const std::uint64_t page_size = kernel::page_size();
  std::uint64_t wrong = 0;
  std::uint64_t first = 0;
  const std::uint64_t end = read.pos + static_cast<std::uint64_t>(got);
  for (std::uint64_t pos = read.pos; pos < end;) {
    const std::uint64_t page = pos / page_size;
    const std::uint64_t stop = std::min(end, (page + 1) * page_size);
    const std::uint8_t* wanted = page < file.pages.size() ? file.pages[page].bytes : nullptr;
    if (wanted == nullptr) wanted = zero_page();
    const std::uint8_t* found = bytes + (pos - read.pos);
    if (std::memcmp(found, wanted + pos % page_size, stop - pos) != 0) {
      for (std::uint64_t i = 0; pos + i < stop; ++i) {
        if (found[i] == wanted[(pos + i) % page_size] || allowed(file, pos + i, found[i])) continue;
        const bool old =
            std::any_of(read.before.begin(), read.before.end(), [&](const Alternative& before) {
              return pos + i >= before.pos && pos + i < before.pos + before.len &&
                     (before.bytes == nullptr || before.bytes[pos + i - before.pos] == found[i]);
            });
        if (old) continue;
        if (wrong++ == 0) first = pos + i;
      }
    }
    pos = stop;
  }
  Scheduler* s = Scheduler::current();
  if (wrong == 0 || s == nullptr) return;
  s->report(FindingKind::kStaleData, "read",
            fmt::format("a read of {} returned {} bytes that were never there at that time, the "
                        "first at {}",
                        file.node->name, wrong, first),
            false);
}

void Oracle::logical_discard(kernel::inode& node, loff_t pos, loff_t len) {
  File& file = file_of(node);
  const std::uint64_t page_size = kernel::page_size();
  const auto begin = static_cast<std::uint64_t>(pos);
  const std::uint64_t end =
      len < 0 ? file.pages.size() * page_size : begin + static_cast<std::uint64_t>(len);
  touch_size(Op::kWrite, file);
  touch(Op::kWrite, &PageObjects::data, file, begin, end);
  // While the call runs a reader may see the old bytes or zeros.
  for (Read& read : reads_) {
    if (read.running && read.file == &file) read.before.push_back({begin, ~begin, nullptr});
  }
  for (std::uint64_t at = begin; at < end && at / page_size < file.pages.size();) {
    const std::uint64_t part = std::min(end - at, page_size - at % page_size);
    if (part == page_size) {
      file.pages[at / page_size] = {};
    } else {
      store(file, at, zero_page(), part);
    }
    at += part;
  }
  if (len < 0) {
    file.size = std::min(file.size, begin);
  } else {
    file.alternatives.push_back({begin, end - begin, nullptr});
  }
}

void Oracle::size_changed(kernel::inode&, loff_t) {}

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
  check(file_of(node), begin, begin + len, true, "the last copy was overwritten on disk", nullptr);
}

void Oracle::write_error(kernel::inode& node, loff_t pos, std::size_t len) {
  File& file = file_of(node);
  const auto begin = static_cast<std::uint64_t>(pos);
  touch(Op::kWrite, &PageObjects::data, file, begin, begin + len);
  file.alternatives.push_back({begin, len, nullptr});
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
