// SPDX-License-Identifier: GPL-2.0-only
// Dirty state, writeback, the disk, the flusher, sync, errors. Races are held against a few
// hundred random schedules, and the test fails if no schedule reached the window.
#include "engine/kernel/writeback.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "tests/kernel_harness.h"
#include "tests/sticky_random.h"

namespace kernel {
namespace {

constexpr unsigned kSeeds = 300;
constexpr std::size_t kPage = 4096;
constexpr std::array kPersonaNames = {"generic", "ext4", "btrfs", "xfs"};

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

/* Every cached folio with flag and mark: "0:D/d 1:W/w 2:-/-"; large letters are the folio's. */
std::string state(const char* name) {
  const address_space* mapping = mapping_of(name);
  std::string text;
  for (pgoff_t index = 0; index < 32; ++index) {
    const xa_peeked slot = xa_peek(&mapping->i_pages, index);
    const auto* f = static_cast<const folio*>(slot.entry);
    if (f == nullptr) continue;
    const auto mark = [&](xa_mark_t which) { return (slot.marks >> which & 1) != 0; };
    std::string flags, marks;
    flags += f->flags.peek(PG_dirty) ? "D" : "";
    flags += f->flags.peek(PG_writeback) ? "W" : "";
    marks += mark(PAGECACHE_TAG_DIRTY) ? "d" : "";
    marks += mark(PAGECACHE_TAG_WRITEBACK) ? "w" : "";
    marks += mark(PAGECACHE_TAG_TOWRITE) ? "t" : "";
    text += (text.empty() ? "" : " ") + std::to_string(index) + ":" +
            (flags.empty() ? "-" : flags) + "/" + (marks.empty() ? "-" : marks);
  }
  return text;
}

char disk_byte(const char* name, loff_t pos) {
  char byte = '?';
  peek_disk(find_inode(name), pos, 1, &byte);
  return byte;
}

std::string disk_bytes(const char* name, unsigned pages) {
  std::string text;
  for (unsigned i = 0; i < pages; ++i) {
    const char byte = disk_byte(name, static_cast<loff_t>(i * kPage));
    text += byte == 0 ? '.' : byte;
  }
  return text;
}

file* write_pages(const char* name, unsigned first, unsigned count, char byte) {
  file* f = do_open(find_inode(name), O_RDWR);
  const std::string bytes(count * kPage, byte);
  BUG_ON(vfs_write(f, static_cast<loff_t>(first * kPage), bytes.data(), bytes.size()) !=
         static_cast<long>(bytes.size()));
  return f;
}

/* Counts what the port tells the oracle. */
class counting_observer : public powered_observer {
 public:
  unsigned write_begin(inode&, loff_t, const void*, std::size_t) override { return 0; }
  void write_end(unsigned, long) override {}
  unsigned read_begin(inode&, loff_t, std::size_t) override { return 0; }
  void read_end(unsigned, const void*, long) override {}
  void size_changed(inode&, loff_t size) override { last_size = size; }
  void dirty_cancelled(folio&) override { ++cancelled; }
  void folio_removed(inode&, folio&, folio*) override {}
  void folio_set_aside(inode&, folio&, bool) override {}
  void block_written(inode&, loff_t, std::size_t len) override { written += len; }
  void write_error(inode&, loff_t pos, std::size_t) override { ++errors, error_pos = pos; }
  void sync_promised(inode&) override { ++promised; }
  void reset() { *this = counting_observer(); }

  unsigned cancelled = 0, errors = 0, promised = 0;
  std::size_t written = 0;
  loff_t last_size = -1, error_pos = -1;
};

// ---- one folio
// -----------------------------------------------------------------------------------

TEST(Writeback, FlagAndMarkFollowTheLifeOfDirt) {
  std::string dirty, cleaned, started, again, ended;
  kernel_harness harness;
  harness.file("f", std::string(kPage, 'a'));
  harness.task("t", [&] {
    const interleaf::HeapScope heap;
    filp_close(write_pages("f", 0, 1, 'x'));
    dirty = state("f");
    folio* f = filemap_lock_folio(mapping_of("f"), 0);
    BUG_ON(!folio_clear_dirty_for_io(f));
    cleaned = state("f");
    folio_start_writeback(f);
    started = state("f");
    folio_mark_dirty(f);
    again = state("f");
    folio_end_writeback(f);
    ended = state("f");
    folio_unlock(f);
    folio_put(f);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  EXPECT_EQ(dirty, "0:D/d");
  EXPECT_EQ(cleaned, "0:-/d");
  EXPECT_EQ(started, "0:W/w");
  EXPECT_EQ(again, "0:DW/dw");
  EXPECT_EQ(ended, "0:D/d");
}

TEST(Writeback, CancelClearsFlagOnlyAndTellsTheWatcher) {
  counting_observer watcher;
  kernel_harness harness({.watcher = &watcher});
  harness.file("f", std::string(kPage, 'a'));
  harness.task("t", [] {
    filp_close(write_pages("f", 0, 1, 'x'));
    folio* f = filemap_lock_folio(mapping_of("f"), 0);
    folio_cancel_dirty(f);
    folio_cancel_dirty(f);
    folio_unlock(f);
    folio_put(f);
  });
  EXPECT_TRUE(harness.run_in_order().clean());
  EXPECT_EQ(watcher.cancelled, 1u);
  harness.inspect([] {
    EXPECT_EQ(state("f"), "0:-/d");
    EXPECT_EQ(this_machine().stat.nr_file_dirty.peek(), 0);
  });
}

// ---- ranges
// --------------------------------------------------------------------------------------

TEST(Writeback, WritesRangeAndLeavesTheRestDirty) {
  for (const char* persona_name : kPersonaNames) {
    kernel_harness harness({.persona_name = persona_name});
    harness.file("f", "");
    harness.task("t", [] {
      filp_close(write_pages("f", 0, 4, 'x'));
      BUG_ON(filemap_write_and_wait_range(mapping_of("f"), kPage, 3 * kPage - 1) != 0);
    });
    const interleaf::RunResult& result = harness.run_in_order();
    EXPECT_TRUE(result.clean()) << persona_name << "\n" << describe(result);
    harness.inspect([persona_name] {
      EXPECT_EQ(state("f"), "0:D/d 1:-/- 2:-/- 3:D/d") << persona_name;
      EXPECT_EQ(disk_bytes("f", 4), ".xx.") << persona_name;
      EXPECT_EQ(find_inode("f")->i_disksize.peek(), 3 * kPage) << persona_name;
      EXPECT_EQ(this_machine().stat.nr_file_dirty.peek(), 2);
      EXPECT_EQ(this_machine().stat.nr_writeback.peek(), 0);
    });
  }
}

TEST(Writeback, LargeFolioIsWrittenAsOne) {
  counting_observer watcher;
  kernel_harness harness({.persona_name = "xfs", .watcher = &watcher});
  harness.file("f", std::string(4 * kPage, 'a'));
  harness.task("t", [] {
    folio* f = folio_alloc(2);
    BUG_ON(filemap_add_folio(mapping_of("f"), f, 0, 0) != 0);
    const std::string bytes(4 * kPage, 'z');
    folio_write_contents(f, 0, bytes.data(), bytes.size());
    folio_set_uptodate(f);
    folio_mark_dirty(f);
    folio_unlock(f);
    folio_put(f);
    BUG_ON(filemap_write_and_wait(mapping_of("f")) != 0);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  EXPECT_EQ(watcher.written, 4 * kPage);
  harness.inspect([] { EXPECT_EQ(disk_bytes("f", 4), "zzzz"); });
}

TEST(Writeback, BytesBehindEndOfFileReachDiskAsZeros) {
  char before = '?', after = '?';
  kernel_harness harness;
  harness.file("f", std::string(100, 'a'));
  harness.task("t", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    vfs_write(f, 99, "x", 1);
    folio* fo = filemap_lock_folio(mapping_of("f"), 0);
    folio_write_contents(fo, 100, "junk", 4); /* as a mapping can */
    folio_unlock(fo);
    folio_put(fo);
    BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
    filp_close(f);
  });
  EXPECT_TRUE(harness.run_in_order().clean());
  harness.inspect([&] { before = disk_byte("f", 99), after = disk_byte("f", 100); });
  EXPECT_EQ(before, 'x');
  EXPECT_EQ(after, 0);
}

/* A writer that never stops does not keep a sync busy, and what it wrote before is on the disk. */
TEST(Writeback, FsyncPutsWhatWasWrittenBeforeOnDisk) {
  for (const char* persona_name : kPersonaNames) {
    unsigned again = 0;
    kernel_harness harness({.persona_name = persona_name, .flusher = true});
    harness.file("f", std::string(2 * kPage, 'a'));
    harness.task("syncer", [] {
      file* f = write_pages("f", 0, 1, 'b');
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      const char byte = disk_byte("f", 0);
      BUG_ON(byte != 'b' && byte != 'c');
      filp_close(f);
    });
    harness.task("writer", [&] {
      file* f = do_open(find_inode("f"), O_RDWR);
      for (char byte : {'b', 'c'}) {
        again += this_machine().stat.nr_writeback.peek() != 0;
        vfs_write(f, 0, &byte, 1);
        vfs_write(f, kPage, &byte, 1);
      }
      filp_close(f);
    });
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      const interleaf::RunResult& result = run_seed(harness, seed);
      ASSERT_TRUE(result.clean()) << persona_name << " seed " << seed << "\n" << describe(result);
    }
    EXPECT_GT(again, 0u);
  }
}

TEST(Writeback, SyncNoneSkipsFoliosUnderWriteback) {
  kernel_harness harness;
  harness.file("f", std::string(kPage, 'a'));
  harness.task("t", [] {
    address_space* mapping = mapping_of("f");
    filp_close(write_pages("f", 0, 1, 'x'));
    folio* f = filemap_lock_folio(mapping, 0);
    BUG_ON(!folio_clear_dirty_for_io(f));
    folio_start_writeback(f);
    folio_mark_dirty(f);
    folio_unlock(f);
    BUG_ON(filemap_flush(mapping) != 0); /* would sleep for ever */
    BUG_ON(!folio_test_dirty(f));
    BUG_ON(!filemap_range_has_writeback(mapping, 0, 0));
    BUG_ON(filemap_range_has_writeback(mapping, kPage, kPage));
    folio_end_writeback(f);
    folio_put(f);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
}

// ---- errors
// --------------------------------------------------------------------------------------

TEST(Writeback, ErrorIsReportedOnceToEveryFileAndFolioIsClean) {
  counting_observer watcher;
  std::array<int, 3> errors{};
  kernel_harness harness({.watcher = &watcher, .faults_max = 1});
  harness.file("f", "");
  unsigned failed = 0;
  harness.task("t", [&] {
    file* other = do_open(find_inode("f"), O_RDWR);
    file* f = write_pages("f", 0, 1, 'x');
    errors[0] = vfs_fsync_range(f, 0, LLONG_MAX_POS, false);
    errors[1] = vfs_fsync_range(f, 0, LLONG_MAX_POS, false);
    errors[2] = vfs_fsync_range(other, 0, LLONG_MAX_POS, false);
    /* The mark goes after PG_writeback, but under the same lock. */
    f->f_mapping->i_pages.xa_lock.lock();
    f->f_mapping->i_pages.xa_lock.unlock();
    filp_close(f);
    filp_close(other);
  });
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    watcher.reset();
    errors = {};
    const interleaf::RunResult& result = run_seed(harness, seed);
    /* Other failures may be injected, into the open or the write. */
    if (watcher.errors == 0) continue;
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
    ++failed;
    EXPECT_EQ(watcher.error_pos, 0);
    EXPECT_EQ(errors, (std::array<int, 3>{-EIO, 0, -EIO}));
    harness.inspect([] {
      EXPECT_EQ(state("f"), "0:-/-");
      const inode* node = find_inode("f");
      EXPECT_EQ(node->i_sb->s_op->peek_block(node, 0).kind, block_kind::UNWRITTEN);
    });
  }
  EXPECT_GT(failed, 0u);
}

/* ext4 and XFS know when they reserve: tests/ext4_test.cc, tests/xfs_test.cc. */
TEST(Writeback, FullDiskIsAnError) {
  for (const char* persona_name : {"btrfs"}) {
    int error = 0;
    counting_observer watcher;
    geometry geo = small_geometry();
    geo.disk_blocks = 2;
    kernel_harness harness({.geo = geo, .persona_name = persona_name, .watcher = &watcher});
    harness.file("f", "");
    harness.task("t", [&] {
      file* f = write_pages("f", 0, 3, 'x');
      error = vfs_fsync_range(f, 0, LLONG_MAX_POS, false);
      filp_close(f);
    });
    const interleaf::RunResult& result = harness.run_in_order();
    EXPECT_TRUE(result.clean()) << persona_name << "\n" << describe(result);
    EXPECT_EQ(error, -ENOSPC) << persona_name;
    EXPECT_EQ(watcher.errors, 1u);
    EXPECT_EQ(watcher.error_pos, 2 * kPage);
    harness.inspect([] { EXPECT_EQ(disk_bytes("f", 3), "xx."); });
  }
}

// ---- the disk
// ------------------------------------------------------------------------------------

TEST(Block, RequestsEndInAnyOrder) {
  unsigned in_order = 0, reversed = 0;
  kernel_harness harness({.persona_name = "generic"}); /* its blocks can be read at once */
  harness.file("f", "");
  harness.task("t", [&] {
    filp_close(write_pages("f", 0, 2, 'x'));
    filemap_fdatawrite_range(mapping_of("f"), 0, LLONG_MAX_POS);
    while (disk_bytes("f", 2) == "..") interleaf::Scheduler::current()->relax();
    in_order += disk_bytes("f", 2) == "x.";
    reversed += disk_bytes("f", 2) == ".x";
    filemap_fdatawait_range(mapping_of("f"), 0, LLONG_MAX_POS);
    BUG_ON(disk_bytes("f", 2) != "xx");
  });
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    const interleaf::RunResult& result = run_seed(harness, seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
  }
  EXPECT_GT(in_order, 0u);
  EXPECT_GT(reversed, 0u);
}

/* The payload is what the folio holds at the transfer, where the filesystem allows changes. */
TEST(Block, TransferSeesStoreMadeUnderWritebackUnlessWritesAreStable) {
  for (const char* persona_name : {"ext4", "btrfs"}) {
    unsigned torn = 0;
    kernel_harness harness({.persona_name = persona_name});
    harness.file("f", std::string(kPage, 'a'));
    harness.task("syncer", [] {
      file* f = write_pages("f", 0, 1, 'b');
      filemap_fdatawrite_range(f->f_mapping, 0, LLONG_MAX_POS);
      filp_close(f);
    });
    harness.task("writer", [&] {
      file* f = do_open(find_inode("f"), O_RDWR);
      folio* fo = filemap_get_folio(mapping_of("f"), 0);
      vfs_write(f, 0, "c", 1);
      /* Dirty and under writeback: the write did not wait. */
      torn += !IS_ERR(fo) && fo->flags.peek(PG_writeback) && fo->flags.peek(PG_dirty);
      if (!IS_ERR(fo)) folio_put(fo);
      filp_close(f);
    });
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      const interleaf::RunResult& result = run_seed(harness, seed);
      ASSERT_TRUE(result.clean()) << persona_name << " seed " << seed << "\n" << describe(result);
    }
    EXPECT_EQ(torn != 0, std::string_view(persona_name) == "ext4") << torn;
  }
}

// ---- the flusher and sync
// ------------------------------------------------------------------------

TEST(Flusher, RunsAtAnyMomentAfterTheWriteAndOnlyThen) {
  unsigned early = 0, late = 0;
  kernel_harness harness({.flusher = true});
  harness.file("f", "");
  harness.task("t", [&] {
    BUG_ON(this_machine().stat.nr_writeback.peek() != 0);
    filp_close(write_pages("f", 0, 1, 'x'));
    for (unsigned i = 0; i < 60; ++i) find_inode("f")->i_size.load();
    (disk_byte("f", 0) == 'x' ? early : late)++;
  });
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    const interleaf::RunResult& result = run_seed(harness, seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
    ASSERT_EQ(result.end, interleaf::RunEnd::kFinished);
  }
  EXPECT_GT(early, 0u);
  EXPECT_GT(late, 0u);
}

/* Whether its interval ends within the run is a choice. If so it writes everything, then sleeps. */
TEST(Flusher, SleepsWhenEverythingIsClean) {
  unsigned cleaned = 0;
  kernel_harness harness({.flusher = true});
  harness.file("f", "");
  harness.task("t", [] {
    filp_close(write_pages("f", 0, 3, 'x'));
    for (unsigned i = 0; i < 400; ++i) find_inode("f")->i_size.load();
  });
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    const interleaf::RunResult& result = run_seed(harness, seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
    ASSERT_LT(result.steps, 2000u);
    harness.inspect([&] {
      if (!find_inode("f")->i_sb->s_wb.b_dirty.empty() ||
          this_machine().stat.nr_writeback.peek() != 0 || find_inode("f")->i_state.peek(I_SYNC))
        return;
      ++cleaned;
      ASSERT_EQ(state("f"), "0:-/- 1:-/- 2:-/-");
      ASSERT_EQ(disk_bytes("f", 3), "xxx");
      ASSERT_FALSE(find_inode("f")->i_state.peek(I_DIRTY_PAGES));
    });
  }
  EXPECT_GT(cleaned, 0u);
  EXPECT_LT(cleaned, kSeeds);
}

TEST(Sync, WritesEveryFileThatWasDirty) {
  kernel_harness harness({.flusher = true});
  harness.file("f", "");
  harness.file("g", "");
  harness.task("t", [] {
    filp_close(write_pages("f", 0, 2, 'x'));
    filp_close(write_pages("g", 1, 1, 'y'));
    BUG_ON(sync_filesystem(this_machine().sb) != 0);
    BUG_ON(disk_bytes("f", 2) != "xx" || disk_bytes("g", 2) != ".y");
  });
  harness.task("other", [] { filp_close(write_pages("f", 0, 1, 'x')); });
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    const interleaf::RunResult& result = run_seed(harness, seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
  }
}

/* The barrier pair in __writeback_single_inode: a dirty page never hides in a clean inode. */
TEST(Sync, InodeWithDirtyPagesIsAlwaysKnownToTheFlusher) {
  unsigned again = 0;
  kernel_harness harness({.flusher = true});
  harness.file("f", "");
  for (const char* name : {"a", "b"}) {
    harness.task(name, [] {
      for (unsigned i = 0; i < 2; ++i) filp_close(write_pages("f", 0, 1, 'x'));
    });
  }
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    const interleaf::RunResult& result = run_seed(harness, seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
    harness.inspect([&] {
      const inode* node = find_inode("f");
      const auto& list = node->i_sb->s_wb.b_dirty;
      const bool listed = std::find(list.begin(), list.end(), node) != list.end();
      if (state("f").find('D') == std::string::npos) return;
      ++again;
      ASSERT_TRUE(listed || node->i_state.peek(I_SYNC)) << "seed " << seed;
    });
  }
  EXPECT_GT(again, 0u);
}

}  // namespace
}  // namespace kernel
