// SPDX-License-Identifier: GPL-2.0-only
// ext4 with buffer heads, and on iomap: delayed allocation, conversion after writeback, commits,
// holes and zeros, and that none of them wait for each other in a circle.
#include "engine/kernel/ext4/ext4.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>

#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "tests/kernel_harness.h"

namespace kernel {
namespace {

constexpr loff_t kPage = 4096;

ext4_inode* inode_f() { return EXT4_I(find_inode("f")); }

// One letter per block: Hole, Delayed, Unwritten, Written.
std::string map_of(const ext4_inode* node) {
  std::string text;
  for (const extent_status& es : node->es) text += "HDUW"[static_cast<unsigned>(es.status)];
  return text;
}

std::string on_disk(std::size_t len) {
  std::string bytes(len, '?');
  peek_disk(find_inode("f"), 0, len, bytes.data());
  return bytes;
}

std::string cached(file* f, std::size_t len) {
  std::string bytes(len, '?');
  const long got = vfs_read(f, 0, bytes.data(), len);
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

long put(file* f, loff_t pos, std::size_t len, char letter) {
  const std::string bytes(len, letter);
  return vfs_write(f, pos, bytes.data(), len);
}

geometry blocks_of_1k() {
  geometry geo = small_geometry();
  geo.block_size = 1024;
  return geo;
}

/* Parts of blocks are zeroed under a handle, or before it; with buffer heads, or by iomap. */
struct Mode {
  std::string_view kernel;
  patch_set with;
};
constexpr patch_set kZeroFirst =
    patch_bits({Patch::kExt4ZeroOnExtend, Patch::kExt4ZeroBeforeHandle});
constexpr patch_set kIomap = patch_bits({Patch::kExt4Iomap, Patch::kExt4ZeroBeforeHandle});
constexpr Mode kModes[] = {{"6.12", 0},
                           {"6.12", kZeroFirst},
                           {"6.18", kIomap},
                           {"6.19", kIomap},
                           {"6.19", kIomap | patch_bit(Patch::kExt4ZeroBatchLocked)}};

void expect_clean(kernel_harness& machine, unsigned seeds) {
  for (unsigned seed = 0; seed < seeds; ++seed) {
    const interleaf::RunResult& result = machine.run(seed);
    ASSERT_TRUE(result.findings.empty())
        << "seed " << seed << ": " << result.verdict()->message << " "
        << (result.verdict()->details.empty() ? "" : result.verdict()->details[0]);
    ASSERT_EQ(result.end, interleaf::RunEnd::kFinished) << "seed " << seed;
  }
}

TEST(Ext4, ReservesAtTheWriteAllocatesAtWritebackAndConvertsAfterIt) {
  for (const Mode& mode : kModes) {
    kernel_harness machine({.kernel_name = mode.kernel, .with = mode.with});
    machine.file("f", "");
    machine.task("a", [] {
      file* f = do_open(find_inode("f"), O_RDWR);
      BUG_ON(put(f, 0, 2 * kPage, 'a') != 2 * kPage);
      BUG_ON(map_of(inode_f()) != "DD" || inode_f()->i_reserved_data_blocks != 2);
      BUG_ON(inode_f()->i_disksize.peek() != 0);
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      BUG_ON(map_of(inode_f()) != "WW" || inode_f()->i_reserved_data_blocks != 0);
      BUG_ON(inode_f()->i_disksize.peek() != 2 * kPage);
      BUG_ON(EXT4_SB(inode_f()->i_sb)->s_dirtyclusters != 0);
      filp_close(f);
    });
    expect_clean(machine, 50);
    machine.inspect([] { EXPECT_EQ(on_disk(2 * kPage), std::string(2 * kPage, 'a')); });
  }
}

TEST(Ext4, FsyncReturnsWhenTheInodesTransactionIsCommitted) {
  kernel_harness machine;
  machine.file("f", "");
  machine.task("a", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    put(f, 0, kPage, 'a');
    BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
    const journal_t* journal = EXT4_SB(inode_f()->i_sb)->s_journal;
    BUG_ON(inode_f()->i_sync_tid.peek() == 0);
    BUG_ON(tid_gt(inode_f()->i_sync_tid.peek(), journal->j_commit_sequence.peek()));
    filp_close(f);
  });
  expect_clean(machine, 50);
}

// Whoever finds the folio neither dirty nor under writeback finds its block written.
TEST(Ext4, WritebackEndsAfterTheConversion) {
  kernel_harness machine({.flusher = true});
  machine.file("f", "");
  machine.task("a", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    put(f, 0, kPage, 'a');
    do_sync_file_range(f, 0, kPage, 7);
    BUG_ON(map_of(inode_f()) != "W");
    filp_close(f);
  });
  machine.task("b", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    do_sync_file_range(f, 0, kPage, 7);
    filp_close(f);
  });
  expect_clean(machine, 500);
}

TEST(Ext4, BlocksSmallerThanPagesKeepStatesOfTheirOwn) {
  for (const Mode& mode : kModes) {
    kernel_harness machine({.geo = blocks_of_1k(), .kernel_name = mode.kernel, .with = mode.with});
    machine.file("f", std::string(kPage, 'x'));
    machine.task("a", [] {
      file* f = do_open(find_inode("f"), O_RDWR);
      BUG_ON(ext4_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1024, 2048) != 0);
      BUG_ON(map_of(inode_f()) != "WHHW");
      put(f, 1500, 100, 'a'); /* part of a hole: the rest of its block is zeros */
      BUG_ON(map_of(inode_f()) != "WDHW");
      put(f, 100, 100, 'b'); /* part of a written block, which has to be read */
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      BUG_ON(map_of(inode_f()) != "WWHW");
      std::string expected(kPage, 'x');
      expected.replace(1024, 2048, std::string(2048, '\0'));
      expected.replace(1500, 100, std::string(100, 'a'));
      expected.replace(100, 100, std::string(100, 'b'));
      BUG_ON(cached(f, kPage) != expected);
      BUG_ON(on_disk(kPage) != expected);
      filp_close(f);
    });
    expect_clean(machine, 50);
  }
}

// What a write has filled of a page can be read without the rest of it.
TEST(Ext4, ReadsOfBlocksThatAreUptodateDoNotReadTheirFolio) {
  for (const Mode& mode : kModes) {
    kernel_harness machine({.geo = blocks_of_1k(), .kernel_name = mode.kernel, .with = mode.with});
    machine.file("f", std::string(kPage, 'x'));
    machine.task("a", [] {
      file* f = do_open(find_inode("f"), O_RDWR);
      put(f, 1024, 1024, 'a');
      folio* cache = __filemap_get_folio(f->f_mapping, 0, 0);
      const auto read = [f](loff_t pos, std::size_t len) {
        std::string bytes(len, '?');
        BUG_ON(vfs_read(f, pos, bytes.data(), len) != static_cast<long>(len));
        return bytes;
      };
      BUG_ON(read(1124, 100) != std::string(100, 'a'));
      BUG_ON(read(1024, 1024) != std::string(1024, 'a'));
      BUG_ON(folio_test_uptodate(cache));
      BUG_ON(read(2000, 100) != std::string(48, 'a') + std::string(52, 'x'));
      BUG_ON(!folio_test_uptodate(cache));
      folio_put(cache);
      filp_close(f);
    });
    expect_clean(machine, 50);
  }
}

TEST(Ext4, ZeroRangeLeavesUnwrittenBlocksAndZeroedEdges) {
  for (const Mode& mode : kModes) {
    kernel_harness machine({.geo = blocks_of_1k(), .kernel_name = mode.kernel, .with = mode.with});
    machine.file("f", std::string(2 * kPage, 'x'));
    machine.task("a", [] {
      file* f = do_open(find_inode("f"), O_RDWR);
      put(f, 2048, 1024, 'd');
      BUG_ON(ext4_fallocate(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 512, 4096) != 0);
      BUG_ON(map_of(inode_f()) != "WUUUWWWW");
      std::string expected(2 * kPage, 'x');
      expected.replace(512, 4096, std::string(4096, '\0'));
      BUG_ON(cached(f, 2 * kPage) != expected);
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      BUG_ON(on_disk(2 * kPage) != expected);
      filp_close(f);
    });
    expect_clean(machine, 50);
  }
}

TEST(Ext4, FallocatedBlocksReadAsZerosAndTakeData) {
  for (const Mode& mode : kModes) {
    kernel_harness machine({.kernel_name = mode.kernel, .with = mode.with});
    machine.file("f", "");
    machine.task("a", [] {
      file* f = do_open(find_inode("f"), O_RDWR);
      BUG_ON(ext4_fallocate(f, 0, 0, 2 * kPage) != 0);
      BUG_ON(map_of(inode_f()) != "UU" || i_size_read(inode_f()) != 2 * kPage);
      BUG_ON(cached(f, 2 * kPage) != std::string(2 * kPage, '\0'));
      put(f, 100, 100, 'a');
      BUG_ON(inode_f()->i_reserved_data_blocks != 0);
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      BUG_ON(map_of(inode_f()) != "WU");
      filp_close(f);
    });
    expect_clean(machine, 50);
  }
}

TEST(Ext4, TruncateGivesReservationsBack) {
  for (const Mode& mode : kModes) {
    kernel_harness machine({.kernel_name = mode.kernel, .with = mode.with});
    machine.file("f", "");
    /* iomap writes back what truncation zeroes. */
    const bool writes = (mode.with & patch_bit(Patch::kExt4Iomap)) != 0;
    machine.task("a", [writes] {
      file* f = do_open(find_inode("f"), O_RDWR);
      put(f, 0, 3 * kPage, 'a');
      BUG_ON(do_ftruncate(f, kPage + 1) != 0);
      BUG_ON(map_of(inode_f()) != (writes ? "DW" : "DD"));
      BUG_ON(inode_f()->i_reserved_data_blocks != (writes ? 1 : 2));
      BUG_ON(EXT4_SB(inode_f()->i_sb)->s_dirtyclusters != (writes ? 1 : 2));
      filp_close(f);
    });
    expect_clean(machine, 50);
  }
}

TEST(Ext4, ReservationFailsWhenTheDiskIsPromisedAway) {
  geometry geo = small_geometry();
  geo.disk_blocks = 2;
  kernel_harness machine({.geo = geo});
  machine.file("f", "");
  machine.task("a", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    BUG_ON(put(f, 0, 2 * kPage, 'a') != 2 * kPage);
    BUG_ON(put(f, 2 * kPage, kPage, 'b') != -ENOSPC);
    BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
    filp_close(f);
  });
  expect_clean(machine, 20);
}

// Only a part of a write can be copied: what it got blocks for behind the end of the file stays
// reserved, whatever is written back. iomap gives that back.
TEST(Ext4, ShortWriteLeavesReservationsBehindTheEndToTheInodesEnd) {
  for (const Mode& mode : kModes) {
    const bool iomap = (mode.with & patch_bit(Patch::kExt4Iomap)) != 0;
    kernel_harness machine({.geo = blocks_of_1k(), .kernel_name = mode.kernel, .with = mode.with});
    machine.file("f", "");
    machine.task("a", [iomap] {
      file* f = do_open(find_inode("f"), O_RDWR);
      static const std::string bytes(kPage, 'a');
      const auto* begin = reinterpret_cast<const unsigned char*>(bytes.data());
      this_machine().unreadable.push_back({begin + 1024, begin + kPage});
      BUG_ON(vfs_write(f, 0, bytes.data(), kPage) != 1024);
      BUG_ON(i_size_read(inode_f()) != 1024);
      BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
      BUG_ON(inode_f()->i_reserved_data_blocks != (iomap ? 0 : 3));
      filp_close(f);
    });
    expect_clean(machine, 1);
    machine.inspect([] {
      this_machine().sb->s_op->evict_inode(inode_f());
      EXPECT_EQ(inode_f()->i_reserved_data_blocks, 0u);
      EXPECT_EQ(EXT4_SB(inode_f()->i_sb)->s_dirtyclusters, 0u);
    });
  }
}

// Nothing counts of a copy that was short: until the next try the file ends where the bytes are to
// go. Another task sees that.
TEST(Ext4, WriteBehindTheEndOfWhichNothingCountsMakesTheFileLonger) {
  static const std::string bytes(kPage, 'a');
  static bool grew;
  grew = false;
  kernel_harness machine({.geo = blocks_of_1k()});
  machine.file("f", "");
  machine.task("a", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    const auto* begin = reinterpret_cast<const unsigned char*>(bytes.data());
    this_machine().unreadable.push_back({begin + 10, begin + kPage});
    BUG_ON(vfs_write(f, 2048, bytes.data(), 100) != 10);
    BUG_ON(i_size_read(inode_f()) != 2058);
    filp_close(f);
  });
  machine.task("b", [] {
    for (unsigned i = 0; i < 100; ++i) grew = grew || i_size_read(find_inode("f")) == 2048;
  });
  for (unsigned seed = 0; seed < 100; ++seed) ASSERT_TRUE(machine.run(seed).findings.empty());
  EXPECT_TRUE(grew);
}

// The second of two blocks has no room: the first, behind the end of the file, is given back.
TEST(Ext4, WriteThatFindsNoSpaceGivesBackWhatItGotBehindTheEnd) {
  geometry geo = blocks_of_1k();
  geo.disk_blocks = 1;
  kernel_harness machine({.geo = geo});
  machine.file("f", "");
  machine.task("a", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    BUG_ON(put(f, 0, 2048, 'a') != -ENOSPC);
    BUG_ON(inode_f()->i_reserved_data_blocks != 0 || i_size_read(inode_f()) != 0);
    BUG_ON(put(f, 0, 1024, 'b') != 1024);
    BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
    filp_close(f);
  });
  expect_clean(machine, 20);
}

// A mapping's store behind the end of the file must not be there after the file has grown.
std::string after_extension(patch_set with) {
  static std::string found;
  found.clear();
  kernel_harness machine({.geo = blocks_of_1k(), .with = with});
  machine.file("f", std::string(1536, 'x'));
  machine.task("a", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    cached(f, 1536);
    folio* cache = __filemap_get_folio(f->f_mapping, 0, FGP_WRITEBEGIN);
    folio_write_contents(cache, 1536, "garbage", 7);
    folio_unlock(cache);
    folio_put(cache);
    do_ftruncate(f, 4096);
    filp_close(f);
  });
  expect_clean(machine, 1);
  machine.inspect([] {
    const folio* cache =
        static_cast<const folio*>(xa_peek(&find_inode("f")->i_mapping->i_pages, 0).entry);
    for (unsigned i = 0; i < 7; ++i) found += static_cast<char>(cache->contents[1536 + i]);
  });
  return found;
}
TEST(Ext4, ZeroesTheBlockOfTheOldEndWhenAFileGrowsFrom613On) {
  EXPECT_EQ(after_extension(0), "garbage");
  EXPECT_EQ(after_extension(patch_bit(Patch::kExt4ZeroOnExtend)), std::string(7, '\0'));
  EXPECT_EQ(after_extension(kZeroFirst), std::string(7, '\0'));
}

/* Designs of zero range, and what iomap-based ext4 zeroes under a handle with them. */
struct Design {
  const char* name;
  std::string_view kernel;
  patch_set without;
  unsigned faults;
  bool unwritten_deadlocks; /* a clean unwritten block lies before the dirty one */
  bool hole_deadlocks;      /* a hole does */
};
constexpr Design kDesigns[] = {
    {"Z2: one flush of the rest", "6.12", 0, 0, true, true},
    {"Z3: but for the first block", "6.18", 0, 0, true, true},
    {"Z4: batch on the heap", "6.19", patch_bit(Patch::kZeroRangeBatchOnStack), 0, false, true},
    {"Z4: and no memory for it", "6.19", patch_bit(Patch::kZeroRangeBatchOnStack), 1, true, true},
    {"Z5: batch on the stack", "6.19", 0, 0, false, true},
    {"Z6: no flush of holes", "7.1", patch_bit(Patch::kExt4ZeroBeforeHandle), 0, false, false},
};

// Zeroes two pages under a handle: the first is clean, over a hole or unwritten, the second dirty
// over an unwritten block. Meanwhile somebody asks for a commit, or nobody does. Counts the runs
// that hang, and those which say that writeback was waited for under a handle.
constexpr unsigned kRuns = 1000;
struct Counts {
  unsigned deadlocks = 0;
  unsigned told = 0;
};
Counts zero_under_handle(const Design& design, loff_t allocated, bool commits) {
  kernel_harness machine({.kernel_name = design.kernel,
                          .with = patch_bit(Patch::kExt4Iomap),
                          .without = design.without,
                          .faults_max = design.faults});
  machine.file("f", "");
  static interleaf::Completion* started;
  machine.setup([] { started = new interleaf::Completion("handle"); });
  machine.task("a", [allocated] {
    file* f = do_open(find_inode("f"), O_RDWR);
    ext4_fallocate(f, 0, allocated, 2 * kPage - allocated);
    put(f, kPage, kPage, 'a');
    inode* node = find_inode("f");
    inode_lock(node);
    filemap_invalidate_lock(node->i_mapping);
    handle_t* handle = ext4_journal_start(node, 2);
    started->complete();
    ext4_iomap_block_zero_range(node, 100, 2 * kPage - 200);
    ext4_journal_stop(handle);
    filemap_invalidate_unlock(node->i_mapping);
    inode_unlock(node);
    filp_close(f);
  });
  machine.task("commit", [commits] {
    started->wait();
    if (commits) jbd2_journal_start_commit(EXT4_SB(find_inode("f")->i_sb)->s_journal);
  });
  Counts counts;
  for (unsigned seed = 0; seed < kRuns; ++seed) {
    const interleaf::RunResult& result = machine.run(seed);
    for (const interleaf::Finding& finding : result.findings) {
      EXPECT_TRUE(finding.kind == interleaf::FindingKind::kDeadlock ||
                  finding.kind == interleaf::FindingKind::kLockOrder)
          << finding.message;
      if (finding.kind == interleaf::FindingKind::kDeadlock) {
        counts.deadlocks++;
        EXPECT_EQ(finding.object, "j_wait_transaction_locked+jbd2_handle+writeback");
      } else if (finding.object == "jbd2_handle+writeback") {
        counts.told++;
      }
    }
  }
  return counts;
}

TEST(Ext4Iomap, FlushUnderAHandleDeadlocksUnlessZeroRangeNeedsNone) {
  for (const Design& design : kDesigns) {
    SCOPED_TRACE(design.name);
    EXPECT_EQ(zero_under_handle(design, 0, true).deadlocks != 0, design.unwritten_deadlocks);
    EXPECT_EQ(zero_under_handle(design, kPage, true).deadlocks != 0, design.hole_deadlocks);
  }
}

// The conversion may be done before the flush comes to wait for it.
TEST(Ext4Iomap, FlushUnderAHandleIsToldInEveryOrder) {
  for (const Design& design : kDesigns) {
    if (design.faults != 0) continue; /* which fail other things in some runs */
    SCOPED_TRACE(design.name);
    const Counts unwritten = zero_under_handle(design, 0, false);
    EXPECT_EQ(unwritten.deadlocks, 0u);
    EXPECT_EQ(unwritten.told, design.unwritten_deadlocks ? kRuns : 0);
    const Counts hole = zero_under_handle(design, kPage, false);
    EXPECT_EQ(hole.deadlocks, 0u);
    EXPECT_EQ(hole.told, design.hole_deadlocks ? kRuns : 0);
  }
}

// Everything that takes handles, folio locks and waits for writeback, at once; data=ordered too.
void crowd(geometry geo, const Mode& mode = kModes[0]) {
  kernel_harness machine(
      {.geo = geo, .kernel_name = mode.kernel, .with = mode.with, .flusher = true});
  machine.file("f", std::string(2 * kPage, 'x'));
  machine.file("g", "");
  machine.task("writer", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    put(f, 1000, kPage, 'w');
    put(f, 3 * kPage, 100, 'w');
    vfs_fsync_range(f, 0, LLONG_MAX_POS, false);
    filp_close(f);
  });
  machine.task("puncher", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    ext4_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, kPage);
    ext4_fallocate(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, kPage + 10, 2 * kPage);
    filp_close(f);
  });
  machine.task("truncater", [] {
    file* f = do_open(find_inode("f"), O_RDWR);
    do_ftruncate(f, kPage + 17);
    do_ftruncate(f, 3 * kPage);
    filp_close(f);
  });
  machine.task("syncer", [] {
    file* f = do_open(find_inode("g"), O_RDWR);
    put(f, 0, 100, 'g');
    vfs_fsync_range(f, 0, LLONG_MAX_POS, false);
    file* other = do_open(find_inode("f"), O_RDWR);
    do_sync_file_range(other, 0, 2 * kPage, 7);
    filp_close(other);
    filp_close(f);
  });
  expect_clean(machine, 400);
}
TEST(Ext4Crowd, NeverHangs) { crowd(small_geometry()); }
TEST(Ext4Crowd, NeverHangsWithSmallBlocks) { crowd(blocks_of_1k()); }
TEST(Ext4Crowd, NeverHangsWithWrittenAllocations) {
  geometry geo = blocks_of_1k();
  geo.dioread_nolock = 0;
  crowd(geo);
}
TEST(Ext4Crowd, NeverHangsWithoutOrderedData) {
  geometry geo = small_geometry();
  geo.data_ordered = 0;
  crowd(geo);
}
TEST(Ext4Crowd, NeverHangsWithZeroingBeforeHandles) { crowd(blocks_of_1k(), kModes[1]); }
TEST(Ext4Crowd, NeverHangsOnIomap) {
  crowd(small_geometry(), kModes[2]);
  crowd(blocks_of_1k(), kModes[3]);
}
TEST(Ext4Crowd, NeverHangsOnIomapForRoomInTheLog) {
  geometry geo = blocks_of_1k();
  geo.journal_blocks = 64;
  crowd(geo, kModes[4]);
}
TEST(Ext4Crowd, NeverHangsForRoomInTheLog) {
  geometry geo = blocks_of_1k();
  geo.journal_blocks = 64;
  crowd(geo);
}

}  // namespace
}  // namespace kernel
