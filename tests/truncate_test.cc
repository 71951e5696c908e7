// SPDX-License-Identifier: GPL-2.0-only
// Truncate and invalidate: what goes, what stays, whom they wait for; size changes of every
// persona. Races are held against a few hundred random schedules, and the test fails if no
// schedule reached the window.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/vmscan.h"
#include "engine/kernel/writeback.h"
#include "tests/kernel_harness.h"
#include "tests/sticky_random.h"

namespace kernel {
namespace {

constexpr unsigned kSeeds = 300;
constexpr std::size_t kPage = 4096;
constexpr std::array kPersonaNames = {"generic", "ext4", "btrfs", "xfs"};

std::string letters(unsigned pages) {
  std::string bytes;
  for (unsigned i = 0; i < pages; ++i) bytes.append(kPage, static_cast<char>('a' + i));
  return bytes;
}

std::string describe(const interleaf::RunResult& result) {
  std::string text;
  for (const interleaf::Finding& finding : result.findings) {
    text += std::string(interleaf::finding_name(finding.kind)) + ": " + finding.message;
    for (const std::string& function : finding.stack) text += " > " + function;
    text += "\n";
  }
  return text;
}

/* Fair and sticky schedules by turns. */
const interleaf::RunResult& run_seed(kernel_harness& harness, unsigned seed) {
  static interleaf::StickyRandom sticky;
  return seed % 2 == 0 ? harness.run(seed) : harness.run(sticky, seed);
}

address_space* mapping_of(const char* name) { return find_inode(name)->i_mapping; }

/* Cached folios with their state, e.g. "0D 1 2W 4L"; then what the statistics say. */
std::string cached(const char* name) {
  const address_space* mapping = mapping_of(name);
  std::string text;
  for (pgoff_t index = 0; index < 32; ++index) {
    const xa_peeked slot = xa_peek(&mapping->i_pages, index);
    const auto* f = static_cast<const folio*>(slot.entry);
    if (f == nullptr || f->index.peek() != index) continue;
    text += std::to_string(index) + (f->order == 0 ? "" : "L") +
            (f->flags.peek(PG_dirty) ? "D" : "") + (f->flags.peek(PG_writeback) ? "W" : "") + " ";
  }
  return text + "nrpages=" + std::to_string(mapping->nrpages.peek()) +
         " dirty=" + std::to_string(this_machine().stat.nr_file_dirty.peek());
}

/* "a10 b3 .2": runs of equal bytes, zero as a dot. */
std::string runs(const std::string& bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t next = std::min(bytes.find_first_not_of(bytes[at], at), bytes.size());
    text += (text.empty() ? "" : " ") + std::string(1, bytes[at] == 0 ? '.' : bytes[at]) +
            std::to_string(next - at);
    at = next;
  }
  return text;
}

void read_all(const char* name, std::size_t len) {
  std::string bytes(len, 0);
  file* f = do_open(find_inode(name), O_RDONLY);
  vfs_read(f, 0, bytes.data(), len);
  filp_close(f);
}

/* Without the file being open: as a writer that closed it long ago. */
void write_at(const char* name, loff_t pos, const std::string& bytes) {
  file* f = do_open(find_inode(name), O_RDWR);
  BUG_ON(vfs_write(f, pos, bytes.data(), bytes.size()) != static_cast<long>(bytes.size()));
  filp_close(f);
}

// ---- truncate
// ------------------------------------------------------------------------------------

TEST(Truncate, RemovesDirtyAndCleanFoliosFromStartOn) {
  kernel_harness harness;
  harness.file("f", letters(8));
  harness.task("t", [] {
    read_all("f", 8 * kPage);
    write_at("f", 5 * kPage, "x");
    truncate_inode_pages(mapping_of("f"), 3 * kPage);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  harness.inspect([] { EXPECT_EQ(cached("f"), "0 1 2 nrpages=3 dirty=0"); });
}

TEST(Truncate, ZeroesPartsOfFoliosAtBothEdgesOfRange) {
  std::string first(kPage, 0), last(kPage, 0);
  kernel_harness harness;
  harness.file("f", letters(4));
  harness.task("t", [&] {
    read_all("f", 4 * kPage);
    truncate_inode_pages_range(mapping_of("f"), 1000, 3 * kPage + 99);
    for (auto [index, to] : {std::pair{0, &first}, std::pair{3, &last}}) {
      folio* f = filemap_get_folio(mapping_of("f"), static_cast<pgoff_t>(index));
      folio_read_contents(f, 0, to->data(), kPage);
      folio_put(f);
    }
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  EXPECT_EQ(runs(first), "a1000 .3096");
  EXPECT_EQ(runs(last), ".100 d3996");
  harness.inspect([] { EXPECT_EQ(cached("f"), "0 3 nrpages=2 dirty=0"); });
}

TEST(Truncate, RangeInsideOneFolioOnlyZeroes) {
  std::string bytes(kPage, 0);
  kernel_harness harness;
  harness.file("f", letters(3));
  harness.task("t", [&] {
    read_all("f", 3 * kPage);
    truncate_inode_pages_range(mapping_of("f"), kPage + 10, kPage + 19);
    folio* f = filemap_get_folio(mapping_of("f"), 1);
    folio_read_contents(f, 0, bytes.data(), kPage);
    folio_put(f);
  });
  EXPECT_TRUE(harness.run_in_order().clean());
  EXPECT_EQ(runs(bytes), "b10 .10 b4076");
  harness.inspect([] { EXPECT_EQ(cached("f"), "0 1 2 nrpages=3 dirty=0"); });
}

TEST(Truncate, LargeFolioAtEdgeIsSplitAndKeepsThePagesBefore) {
  for (const bool dirty : {false, true}) {
    kernel_harness harness({.persona_name = "xfs"});
    harness.file("f", letters(8));
    harness.task("t", [dirty] {
      folio* f = folio_alloc(2);
      BUG_ON(filemap_add_folio(mapping_of("f"), f, 4, 0) != 0);
      folio_zero_contents(f, 0, folio_size(f));
      folio_set_uptodate(f);
      if (dirty) folio_mark_dirty(f);
      folio_unlock(f);
      folio_put(f);
      truncate_inode_pages(mapping_of("f"), 5 * kPage + 1);
    });
    const interleaf::RunResult& result = harness.run_in_order();
    EXPECT_TRUE(result.clean()) << describe(result);
    harness.inspect([dirty] {
      EXPECT_EQ(cached("f"), dirty ? "4D 5D nrpages=2 dirty=2" : "4 5 nrpages=2 dirty=0");
    });
  }
}

/* Another task has the lock of a folio while the first pass goes by: the second waits for it. */
TEST(Truncate, WaitsForLockedFolio) {
  unsigned waited = 0;
  kernel_harness harness;
  harness.file("f", letters(6));
  bool holding = false, over = false;
  harness.task("holder", [&] {
    read_all("f", 6 * kPage);
    folio* f = filemap_lock_folio(mapping_of("f"), 4);
    if (IS_ERR(f)) return;
    holding = true;
    for (unsigned i = 0; i < 60; ++i) folio_test_dirty(f);
    /* The first pass has been here: what it could lock is gone. */
    waited += mapping_of("f")->nrpages.peek() == 2;
    holding = false;
    over = true;
    folio_unlock(f);
    folio_put(f);
  });
  harness.task("truncater", [&] {
    while (!holding && !over) interleaf::Scheduler::current()->relax();
    truncate_inode_pages(mapping_of("f"), kPage);
    BUG_ON(holding);
    BUG_ON(mapping_of("f")->nrpages.peek() != 1);
  });
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    holding = over = false;
    const interleaf::RunResult& result = run_seed(harness, seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
  }
  EXPECT_GT(waited, 0u);
}

/* The disk must not read a folio that left the cache (I20, I11 would be findings). */
TEST(Truncate, WaitsForWritebackUnderEverySchedule) {
  for (const char* persona_name : kPersonaNames) {
    unsigned reached = 0;
    kernel_harness harness({.persona_name = persona_name, .flusher = true});
    harness.file("f", letters(3));
    harness.task("writer", [] { write_at("f", 0, std::string(3 * kPage, 'x')); });
    harness.task("syncer", [] { filemap_write_and_wait(mapping_of("f")); });
    harness.task("truncater", [&] {
      find_inode("f")->i_size.load();
      reached += this_machine().stat.nr_writeback.peek() != 0;
      BUG_ON(vfs_truncate(find_inode("f"), 100) != 0);
    });
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      const interleaf::RunResult& result = run_seed(harness, seed);
      ASSERT_TRUE(result.clean()) << persona_name << " seed " << seed << "\n" << describe(result);
    }
    EXPECT_GT(reached, 0u) << persona_name;
  }
}

TEST(Truncate, RemovesShadows) {
  kernel_harness harness;
  harness.file("f", letters(1));
  harness.task("t", [] {
    xa_store(&mapping_of("f")->i_pages, 2, xa_mk_value(5));
    read_all("f", kPage);
    truncate_inode_pages_final(mapping_of("f"));
    BUG_ON(!xa_empty(&mapping_of("f")->i_pages));
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
}

// ---- invalidate
// ----------------------------------------------------------------------------------

TEST(Invalidate, Pages2KeepsDirtyFoliosAndSaysBusy) {
  int error = 0;
  kernel_harness harness;
  harness.file("f", letters(5));
  harness.task("t", [&] {
    read_all("f", 5 * kPage);
    write_at("f", 2 * kPage, "x");
    error = invalidate_inode_pages2_range(mapping_of("f"), 1, 3);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  EXPECT_EQ(error, -EBUSY);
  harness.inspect([] { EXPECT_EQ(cached("f"), "0 2D 4 nrpages=3 dirty=1"); });
}

TEST(Invalidate, MappingPagesSkipsWhatIsDirtyLockedOrReferenced) {
  unsigned long count = 0, failed = 0;
  kernel_harness harness;
  harness.file("f", letters(6));
  harness.task("t", [&] {
    address_space* mapping = mapping_of("f");
    read_all("f", 6 * kPage);
    lru_add_drain();
    write_at("f", kPage, "x");
    folio* locked = filemap_lock_folio(mapping, 3);
    folio* referenced = filemap_get_folio(mapping, 4);
    failed = 0;
    count = mapping_try_invalidate(mapping, 0, ~pgoff_t{0}, &failed);
    folio_unlock(locked);
    folio_put(locked);
    folio_put(referenced);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(failed, 2u);
  harness.inspect([] { EXPECT_EQ(cached("f"), "1D 3 4 nrpages=3 dirty=1"); });
}

/* P17: references are frozen before dirt is looked at; a dirty folio never goes. */
TEST(Invalidate, NeverTakesFolioThatAnotherTaskMakesDirty) {
  unsigned evicted = 0, kept = 0;
  kernel_harness harness;
  harness.file("f", letters(1));
  harness.task("writer", [] { write_at("f", 10, "x"); });
  harness.task("evicter", [&] {
    read_all("f", kPage);
    lru_add_drain_all();
    (invalidate_mapping_pages(mapping_of("f"), 0, 0) != 0 ? evicted : kept)++;
    invalidate_inode_pages2(mapping_of("f"));
  });
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    const interleaf::RunResult& result = run_seed(harness, seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
    harness.inspect([] { ASSERT_EQ(cached("f"), "0D nrpages=1 dirty=1"); });
  }
  EXPECT_GT(evicted, 0u);
  EXPECT_GT(kept, 0u);
}

// ---- size changes
// --------------------------------------------------------------------------------

/* Shrinks into a page, grows again: zeros, in the cache and on the disk. */
TEST(Setattr, WhatWasCutOffReadsAsZerosAfterGrowing) {
  for (const char* persona_name : kPersonaNames) {
    std::string cache(2 * kPage, '?'), disk(2 * kPage, '?');
    kernel_harness harness({.persona_name = persona_name});
    harness.file("f", letters(2));
    harness.task("t", [&] {
      inode* node = find_inode("f");
      BUG_ON(vfs_truncate(node, 1000) != 0);
      BUG_ON(vfs_truncate(node, 2 * kPage) != 0);
      file* f = do_open(node, O_RDONLY);
      BUG_ON(vfs_read(f, 0, cache.data(), cache.size()) != 2 * kPage);
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      filp_close(f);
      peek_disk(node, 0, disk.size(), disk.data());
      BUG_ON(node->i_disksize.peek() != 2 * kPage);
    });
    for (unsigned seed = 0; seed < 40; ++seed) {
      const interleaf::RunResult& result = run_seed(harness, seed);
      ASSERT_TRUE(result.clean()) << persona_name << "\n" << describe(result);
      EXPECT_EQ(runs(cache), "a1000 .7192") << persona_name;
      EXPECT_EQ(runs(disk), "a1000 .7192") << persona_name;
    }
  }
}

TEST(Setattr, GapBeforeWriteBehindEndReadsAsZeros) {
  for (const char* persona_name : kPersonaNames) {
    std::string bytes(3 * kPage, '?');
    kernel_harness harness({.persona_name = persona_name});
    harness.file("f", letters(2));
    harness.task("t", [&] {
      inode* node = find_inode("f");
      BUG_ON(vfs_truncate(node, 1000) != 0);
      file* f = do_open(node, O_RDWR);
      BUG_ON(vfs_write(f, 2 * kPage, "xy", 2) != 2);
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      filp_close(f);
      invalidate_inode_pages2(node->i_mapping);
      f = do_open(node, O_RDONLY);
      const long got = vfs_read(f, 0, bytes.data(), bytes.size());
      bytes.resize(static_cast<std::size_t>(got));
      filp_close(f);
    });
    const interleaf::RunResult& result = harness.run_in_order();
    ASSERT_TRUE(result.clean()) << persona_name << "\n" << describe(result);
    EXPECT_EQ(runs(bytes), "a1000 .7192 x1 y1") << persona_name;
  }
}

TEST(Setattr, FreesBlocksBehindNewEnd) {
  for (const char* persona_name : kPersonaNames) {
    kernel_harness harness({.persona_name = persona_name});
    harness.file("f", letters(6));
    harness.task("t", [] { BUG_ON(vfs_truncate(find_inode("f"), kPage + 1) != 0); });
    const interleaf::RunResult& result = harness.run_in_order();
    ASSERT_TRUE(result.clean()) << persona_name << "\n" << describe(result);
    harness.inspect([] {
      EXPECT_EQ(find_inode("f")->i_sb->s_op->peek_block_count(find_inode("f")), 2u);
      EXPECT_EQ(find_inode("f")->i_disksize.peek(), kPage + 1);
    });
  }
}

/* Writes, reads, size changes, sync and invalidation at once; afterwards cache, disk and marks must
 * agree. */
TEST(Setattr, CacheAndDiskAgreeAfterRandomMix) {
  for (const char* persona_name : kPersonaNames) {
    unsigned over = 0;
    kernel_harness harness({.persona_name = persona_name, .flusher = true});
    harness.file("f", letters(3));
    harness.task("writer", [&] {
      write_at("f", kPage + 5, std::string(2 * kPage, 'x'));
      write_at("f", 5 * kPage, "y");
      ++over;
    });
    harness.task("truncater", [&] {
      BUG_ON(vfs_truncate(find_inode("f"), kPage + 100) != 0);
      BUG_ON(vfs_truncate(find_inode("f"), 3 * kPage) != 0);
      ++over;
    });
    harness.task("reader", [&] {
      read_all("f", 6 * kPage);
      invalidate_inode_pages2(mapping_of("f"));
      read_all("f", 6 * kPage);
      ++over;
    });
    harness.task("checker", [&] {
      while (over < 3) interleaf::Scheduler::current()->relax();
      inode* node = find_inode("f");
      sync_filesystem(this_machine().sb);
      std::string cache(6 * kPage, 0), disk(6 * kPage, 0);
      file* f = do_open(node, O_RDONLY);
      const long size = vfs_read(f, 0, cache.data(), cache.size());
      filp_close(f);
      peek_disk(node, 0, disk.size(), disk.data());
      BUG_ON(size != node->i_size.peek() || size != node->i_disksize.peek());
      const auto len = static_cast<std::size_t>(size);
      BUG_ON(cache.substr(0, len) != disk.substr(0, len));
      BUG_ON(this_machine().stat.nr_file_dirty.peek() != 0);
      /* The mark goes after PG_writeback, but under the same lock. */
      node->i_data.i_pages.xa_lock.lock();
      BUG_ON(node->i_data.i_pages.xa_marks.peek() != 0);
      BUG_ON(xa_check(&node->i_data.i_pages) != nullptr);
      node->i_data.i_pages.xa_lock.unlock();
    });
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      over = 0;
      const interleaf::RunResult& result = run_seed(harness, seed);
      ASSERT_TRUE(result.clean()) << persona_name << " seed " << seed << "\n" << describe(result);
    }
  }
}

}  // namespace
}  // namespace kernel
