// SPDX-License-Identifier: GPL-2.0-only
#include "engine/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "engine/kernel/block.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/xarray.h"
#include "scheduler/check.h"
#include "scheduler/scheduler.h"

namespace interleaf {

using kernel::loff_t;

const std::uint8_t* Oracle::zero_page() {
  static const std::uint8_t zeros[65536] = {};
  return zeros;
}

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

void Oracle::touch_begin(File& file, std::uint64_t pos, std::uint64_t end) {
  const std::uint64_t known = file.pages.size() * kernel::page_size();
  Scheduler* s = Scheduler::current();
  if (s != nullptr && file.endless && end > known) {
    s->also(Op::kRead, file.endless_number, &file.endless_number);
  }
  file.endless = file.endless || end == kEndless;
  touch(Op::kAcquireShared, &PageObjects::running, file, pos,
        end == kEndless ? std::max(pos, known) : end);
}

// A finished change's place is free.
unsigned Oracle::add(Change&& change) {
  touch_begin(*change.file, change.pos, change.end);
  std::size_t slot = 0;
  while (slot < changes_.size() && changes_[slot].running) ++slot;
  if (slot == changes_.size()) changes_.emplace_back();
  changes_[slot] = std::move(change);
  return static_cast<unsigned>(slot);
}

void Oracle::keep_alternatives(Change& change, std::uint64_t end) {
  File& file = *change.file;
  ByteRanges met;
  for (const ByteRange& range : change.met) {
    met.add(std::max(range.begin, change.pos), std::min(range.end, end));
  }
  std::erase_if(file.alternatives, [&](const Alternative& other) {
    const std::uint64_t other_end =
        other.len > kEndless - other.pos ? kEndless : other.pos + other.len;
    return other.pos >= change.pos && other_end <= end && !met.overlaps(other.pos, other_end);
  });
  const std::uint64_t known = file.pages.size() * kernel::page_size();
  for (const ByteRange& range : met.ranges()) {
    const std::uint64_t stop = std::min(range.end, std::max(known, range.begin));
    if (stop > range.begin) {
      auto* old = new std::uint8_t[stop - range.begin];
      for (std::uint64_t at = range.begin; at < stop; ++at)
        old[at - range.begin] = expected(file, at);
      file.alternatives.push_back({range.begin, stop - range.begin, old});
    }
    if (range.end > stop && change.kind != Change::Kind::kZero) {  // nothing was there
      const std::uint64_t len = range.end - stop;
      file.alternatives.push_back({stop, len, new std::uint8_t[len]()});
    }
  }
}

void Oracle::tell_readers(File& file, std::uint64_t begin, std::uint64_t end) {
  for (Read& read : reads_) {
    if (!read.running || read.file != &file) continue;
    const std::uint64_t from = std::max(read.pos, begin);
    const std::uint64_t to = std::min(read.pos + read.len, end);
    if (from >= to) continue;
    auto* old = new std::uint8_t[to - from];
    for (std::uint64_t at = from; at < to; ++at) old[at - from] = expected(file, at);
    read.before.push_back({from, to - from, old});
  }
}

// Of an endless change, where it may meet others: as far as bytes are known or being written.
std::uint64_t Oracle::end_of_running(const Change& endless) {
  File& file = *endless.file;
  std::uint64_t end = std::max<std::uint64_t>(endless.pos, file.pages.size() * kernel::page_size());
  for (const Change& other : changes_) {
    if (other.running && other.file == &file && other.end != kEndless) {
      end = std::max(end, other.end);
    }
  }
  if (Scheduler* s = Scheduler::current()) {
    s->also(Op::kWrite, file.endless_number, &file.endless_number);
  }
  return end;
}

void Oracle::finish(Change& change, std::uint64_t done_end) {
  File& file = *change.file;
  change.running = false;
  const std::uint64_t touched = change.end == kEndless ? end_of_running(change) : change.end;
  touch(Op::kRead, &PageObjects::running, file, change.pos, touched);
  touch(Op::kWrite, &PageObjects::data, file, change.pos, touched);
  touch_size(done_end > file.size || change.end == kEndless ? Op::kWrite : Op::kRead, file);
  tell_readers(file, change.pos, done_end);
  for (Change& other : changes_) {
    if (!other.running) continue;
    if (other.file == &file && other.pos < change.end && change.pos < other.end) {
      other.met.push_back({change.pos, change.end});
    }
    if (other.source == &file) other.source_changed = true;
  }
}

unsigned Oracle::write_begin(kernel::inode& node, loff_t pos, const void* data, std::size_t len) {
  const auto begin = static_cast<std::uint64_t>(pos);
  return add({.file = &file_of(node),
              .pos = begin,
              .end = begin + len,
              .bytes = static_cast<const std::uint8_t*>(data),
              .number = ++write_count_});
}

void Oracle::write_end(unsigned handle, long acknowledged) {
  Change& write = changes_[handle];
  File& file = *write.file;
  const std::uint64_t done = acknowledged > 0 ? static_cast<std::uint64_t>(acknowledged) : 0;
  const std::uint64_t end = write.pos + done;
  finish(write, end);
  if (done > 0) {
    keep_alternatives(write, end);
    store(file, write.pos, write.bytes, done);
    file.zeroed.remove(write.pos, end);
    file.size = std::max(file.size, end);
  }
  if (end < write.end) {
    file.alternatives.push_back({end, write.end - end, write.bytes + done});
  }
  if (done > 0) check(file, write.pos, end, true, "the write was acknowledged", nullptr);
}

void Oracle::set_page(Page& page, const std::uint8_t* bytes) {
  if (page.owned) delete[] page.bytes;
  page = {bytes, false};
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
      set_page(page, bytes);  // the caller's bytes stay as they are for the whole run
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

std::uint8_t Oracle::expected(const File& file, std::uint64_t pos) const {
  const std::uint64_t index = pos / kernel::page_size();
  if (index >= file.pages.size() || file.pages[index].bytes == nullptr) return 0;
  return file.pages[index].bytes[pos % kernel::page_size()];
}

bool Oracle::has_others(const File& file) const {
  const auto runs = [&](const Change& change) { return change.running && change.file == &file; };
  return !file.alternatives.empty() || std::any_of(changes_.begin(), changes_.end(), runs);
}

bool Oracle::allowed(const File& file, std::uint64_t pos, std::uint8_t byte) const {
  auto covers = [&](std::uint64_t begin, std::uint64_t len, const std::uint8_t* bytes) {
    return pos >= begin && pos - begin < len && (bytes == nullptr || bytes[pos - begin] == byte);
  };
  for (const Alternative& alternative : file.alternatives) {
    if (covers(alternative.pos, alternative.len, alternative.bytes)) return true;
  }
  return std::any_of(changes_.begin(), changes_.end(), [&](const Change& change) {
    if (!change.running || change.file != &file || pos < change.pos || pos >= change.end) {
      return false;
    }
    switch (change.kind) {
      case Change::Kind::kWrite:
        return change.bytes[pos - change.pos] == byte;
      case Change::Kind::kZero:
        return byte == 0;
      case Change::Kind::kMove:
        return true;
      case Change::Kind::kPending:
        return false;
    }
    return false;
  });
}

bool Oracle::taken(const File& file, std::uint64_t pos) const {
  return std::any_of(changes_.begin(), changes_.end(), [&](const Change& change) {
    return change.running && change.kind == Change::Kind::kZero && change.file == &file &&
           pos >= change.pos && pos < change.end;
  });
}

bool Oracle::anything_goes(const File& file, std::uint64_t begin, std::uint64_t end) const {
  return std::any_of(file.alternatives.begin(), file.alternatives.end(),
                     [&](const Alternative& other) {
                       return other.bytes == nullptr && other.pos <= begin &&
                              end - other.pos <= other.len;
                     }) ||
         std::any_of(changes_.begin(), changes_.end(), [&](const Change& change) {
           const bool of_any =
               change.kind == Change::Kind::kZero || change.kind == Change::Kind::kMove;
           return change.running && of_any && change.file == &file && change.pos <= begin &&
                  end <= change.end;
         });
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

void Oracle::size_changed(kernel::inode&, loff_t) {}

}  // namespace interleaf
