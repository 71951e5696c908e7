// SPDX-License-Identifier: GPL-2.0-only
// What tests of file huge pages have in common: contents, the cache as a string, system calls.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <string>

#include "engine/kernel/khugepaged.h"
#include "engine/kernel/pagemap.h"
#include "tests/kernel_harness.h"

namespace kernel {

inline constexpr std::size_t kPage = 4096;
inline constexpr int kMadvCollapse = 25; /* newer than the C library */

inline std::string pattern(unsigned pages) {
  std::string bytes;
  for (std::size_t i = 0; i < pages * kPage; ++i)
    bytes.push_back(static_cast<char>(1 + (131 * i + 7) % 255));
  return bytes;
}

/* "0:r1L 1:r1m1LD": references, mappings, LRU, dirty, writeback, private, huge; marks: d w t. */
inline std::string cache(inode* node, pgoff_t from, pgoff_t to) {
  std::string shown;
  for (pgoff_t index = from; index < to; ++index) {
    const xa_peeked slot = xa_peek(&node->i_data.i_pages, index);
    shown += (shown.empty() ? "" : " ") + std::to_string(index) + ":";
    if (slot.entry == nullptr) {
      shown += "-";
      continue;
    }
    const auto* f = static_cast<const folio*>(slot.entry);
    shown += "r" + std::to_string(f->_refcount.peek());
    if (f->_mapcount.peek() != 0) shown += "m" + std::to_string(f->_mapcount.peek());
    shown += f->order != 0 ? "H" : "";
    shown += f->flags.peek(PG_lru) ? "L" : "";
    shown += f->flags.peek(PG_dirty) ? "D" : "";
    shown += f->flags.peek(PG_writeback) ? "W" : "";
    shown += f->flags.peek(PG_private) ? "P" : "";
    shown += f->lock.peek_locked() ? "!" : "";
    shown += (slot.marks & 1) != 0 ? "d" : "";
    shown += (slot.marks & 2) != 0 ? "w" : "";
    shown += (slot.marks & 4) != 0 ? "t" : "";
  }
  return shown;
}

inline unsigned huge_pages(inode* node, pgoff_t pages) {
  unsigned found = 0;
  for (pgoff_t index = 0; index < pages; index += hpage_pages()) {
    const auto* f = static_cast<const folio*>(xa_peek(&node->i_data.i_pages, index).entry);
    found += f != nullptr && !xa_is_value(f) && f->order == hpage_order();
  }
  return found;
}

/* A process that maps the first huge page of the file, touches it, asks for a collapse, unmaps. */
inline int map_and_collapse(mm_struct* mm, inode* node, bool khugepaged_too = false) {
  file* f = do_open(node, O_RDONLY);
  const std::int64_t address = do_mmap(mm, f, 0, hpage_pages() * kPage, PROT_READ, MAP_PRIVATE);
  if (khugepaged_too)
    do_madvise(mm, static_cast<std::uint64_t>(address), hpage_pages() * kPage, MADV_HUGEPAGE);
  unsigned char byte = 0;
  for (unsigned i = 0; i < hpage_pages(); ++i)
    access_load(mm, static_cast<std::uint64_t>(address) + i * kPage, &byte, 1);
  const int error =
      do_madvise(mm, static_cast<std::uint64_t>(address), hpage_pages() * kPage, kMadvCollapse);
  do_munmap(mm, static_cast<std::uint64_t>(address), hpage_pages() * kPage);
  filp_close(f);
  return error;
}

inline long read_pages(inode* node, pgoff_t index, std::size_t len, void* to) {
  file* f = do_open(node, O_RDONLY);
  const long got = vfs_read(f, static_cast<loff_t>(index * kPage), to, len);
  filp_close(f);
  return got;
}

inline long write_pages(inode* node, pgoff_t index, const std::string& bytes) {
  file* f = do_open(node, O_RDWR);
  if (IS_ERR(f)) return PTR_ERR(f);
  const long written = vfs_write(f, static_cast<loff_t>(index * kPage), bytes.data(), bytes.size());
  filp_close(f);
  return written;
}

}  // namespace kernel
