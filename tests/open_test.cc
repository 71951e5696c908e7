// SPDX-License-Identifier: GPL-2.0-only
// Opening, closing and truncating, and the purge that a write-open may do.
#include <gtest/gtest.h>

#include <string>

#include "engine/kernel/writeback.h"
#include "tests/call_tree.h"
#include "tests/collapse_helpers.h"

namespace kernel {
namespace {

const std::string kBytes(16 * kPage, 'n');

long write_at(inode* node, pgoff_t index, unsigned pages, bool sync) {
  file* f = do_open(node, O_RDWR);
  const long written =
      vfs_write(f, static_cast<loff_t>(index * kPage), kBytes.data(), pages * kPage);
  if (sync) vfs_fsync_range(f, 0, LLONG_MAX_POS, false);
  filp_close(f);
  return written;
}

TEST(Open, CountsWritersUntilTheLastReferenceGoes) {
  kernel_harness machine;
  machine.file("data", std::string(kPage, 'a'));
  int count[5] = {};
  int denied = 0;
  machine.task("user", [&] {
    inode* node = find_inode("data");
    file* reader = do_open(node, O_RDONLY);
    count[0] = node->i_writecount.peek();
    file* writer = do_open(node, O_WRONLY);
    count[1] = node->i_writecount.peek();
    get_file(writer);
    filp_close(writer);
    count[2] = node->i_writecount.peek();
    fput(writer);
    count[3] = node->i_writecount.peek();
    filp_close(reader);
    node->i_writecount.poke(-1); /* as execve() does */
    denied = static_cast<int>(PTR_ERR(do_open(node, O_RDWR)));
    count[4] = node->i_writecount.peek();
  });
  EXPECT_TRUE(machine.run_in_order().clean());
  EXPECT_EQ(count[0], 0);
  EXPECT_EQ(count[1], 1);
  EXPECT_EQ(count[2], 1);
  EXPECT_EQ(count[3], 0);
  EXPECT_EQ(denied, -ETXTBSY);
  EXPECT_EQ(count[4], -1);
}

TEST(Open, FailsForWhatThePortHasNot) {
  kernel_harness machine;
  machine.file("data", std::string(kPage, 'a'));
  long error[4] = {};
  int left = -1;
  machine.task("user", [&] {
    inode* node = find_inode("data");
    error[0] = PTR_ERR(do_open(node, O_RDWR | O_DIRECT));
    error[1] = PTR_ERR(do_open(node, O_WRONLY | O_APPEND));
    file* reader = do_open(node, O_RDONLY);
    error[2] = vfs_write(reader, 0, "x", 1);
    error[3] = do_ftruncate(reader, 0);
    filp_close(reader);
    left = node->i_writecount.peek();
  });
  EXPECT_TRUE(machine.run_in_order().clean());
  EXPECT_EQ(error[0], -EINVAL);
  EXPECT_EQ(error[1], -EINVAL);
  EXPECT_EQ(error[2], -EBADF);
  EXPECT_EQ(error[3], -EINVAL);
  EXPECT_EQ(left, 0);
}

/* Collects what the port tells about sizes and discards. */
class discards final : public powered_observer {
 public:
  std::string told;

  unsigned write_begin(inode&, loff_t, const void*, std::size_t) override { return 0; }
  void write_end(unsigned, long) override {}
  unsigned read_begin(inode&, loff_t, std::size_t) override { return 0; }
  void read_end(unsigned, const void*, long) override {}
  void logical_discard(inode&, loff_t pos, loff_t len) override {
    tell("discard " + std::to_string(pos) + (len < 0 ? "-" : "+" + std::to_string(len)));
  }
  void size_changed(inode&, loff_t size) override { tell("size " + std::to_string(size)); }
  void dirty_cancelled(folio&) override { tell("cancel"); }
  void folio_set_aside(inode&, folio&, bool) override {}
  void folio_removed(inode&, folio& f, folio* replacement) override {
    tell("remove " + std::to_string(f.index.peek()) + (replacement != nullptr ? "r" : ""));
  }
  void block_written(inode&, loff_t, std::size_t) override {}
  void write_error(inode&, loff_t, std::size_t) override {}
  void sync_promised(inode&) override { tell("sync"); }

 private:
  void tell(const std::string& what) {
    const interleaf::HeapScope heap;
    told += std::string(told.empty() ? "" : "; ") + what.c_str();
  }
};

TEST(Open, TruncateAnnouncesWhatGoes) {
  discards watcher;
  kernel_harness machine({.watcher = &watcher});
  machine.file("data", std::string(3 * kPage, 'a'));
  int error[3] = {-1, -1, -1};
  machine.task("user", [&] {
    inode* node = find_inode("data");
    error[0] = vfs_truncate(node, 2 * kPage);
    error[1] = vfs_truncate(node, 4 * kPage);
    error[2] = vfs_truncate(node, -1);
    filp_close(do_open(node, O_RDONLY | O_TRUNC));
  });
  EXPECT_TRUE(machine.run_in_order().clean());
  EXPECT_EQ(error[0], 0);
  EXPECT_EQ(error[1], 0);
  EXPECT_EQ(error[2], -EINVAL);
  EXPECT_EQ(watcher.told, "discard 8192-; size 8192; size 16384; discard 0-; size 0");
}

TEST(Open, SyncPromisesOnlyForTheWholeFile) {
  discards watcher;
  kernel_harness machine({.watcher = &watcher});
  machine.file("data", std::string(2 * kPage, 'a'));
  machine.task("user", [&] {
    file* f = do_open(find_inode("data"), O_RDWR);
    vfs_fsync_range(f, 0, kPage - 1, true);
    do_sync_file_range(f, 0, 0, 7);
    vfs_fsync_range(f, 0, LLONG_MAX_POS, false);
    filp_close(f);
  });
  EXPECT_TRUE(machine.run_in_order().clean());
  EXPECT_EQ(watcher.told, "sync");
}

TEST(Open, DontneedDropsCleanWholePages) {
  kernel_harness machine;
  machine.file("data", std::string(4 * kPage, 'a'));
  std::string cached;
  machine.task("user", [&] {
    inode* node = find_inode("data");
    file* f = do_open(node, O_RDONLY);
    char bytes[4 * kPage];
    vfs_read(f, 0, bytes, sizeof bytes);
    vfs_fadvise(f, 100, 3 * kPage, POSIX_FADV_DONTNEED);
    const interleaf::HeapScope heap;
    for (pgoff_t index = 0; index < 4; ++index)
      cached += xa_peek(&node->i_data.i_pages, index).entry != nullptr ? "c" : "-";
    filp_close(f);
  });
  EXPECT_TRUE(machine.run_in_order().clean());
  EXPECT_EQ(cached, "c--c");
}

/* Twelve pages, written and synced; a huge page at 0; two dirty pages at the end. */
std::string calls(std::string_view kernel_name, interleaf::CallTree& tree) {
  kernel_harness machine({.kernel_name = kernel_name});
  machine.file("data", "");
  mm_struct* mm = nullptr;
  machine.setup([&] { mm = new mm_struct("user", 16); });
  int collapsed = -1;
  machine.task("user", [&] {
    inode* node = find_inode("data");
    write_at(node, 0, 8, true);
    write_at(node, 8, 2, false);
    collapsed = map_and_collapse(mm, node);
    filp_close(do_open(node, O_RDWR));
  });
  EXPECT_EQ(machine.run_in_order(&tree).end, interleaf::RunEnd::kFinished);
  EXPECT_EQ(collapsed, 0);
  return tree.text();
}

/* Derived from 6.12/ext4/madv-collapse-clean-range.calls (6.12.117, which has the fix), with 4
 * pages per huge page and 2 dirty ones. */
TEST(Open, CollapseCallsWhatLinuxCalls) {
  interleaf::CallTree tree("user", "madvise_collapse",
                           {"lru_add_drain_all",
                            "hpage_collapse_scan_file",
                            "collapse_file",
                            "alloc_charge_folio",
                            "folio_isolate_lru",
                            "filemap_release_folio",
                            "ext4_release_folio",
                            "try_to_unmap",
                            "rmap_walk_file",
                            "try_to_unmap_one",
                            "try_to_unmap_flush",
                            "filemap_write_and_wait_range",
                            "__filemap_fdatawrite_range",
                            "filemap_fdatawrite_wbc",
                            "do_writepages",
                            "folio_clear_dirty_for_io",
                            "folio_mkclean",
                            "__folio_start_writeback",
                            "__filemap_fdatawait_range",
                            "folio_add_lru",
                            "folio_unlock",
                            "__folio_put",
                            "collapse_pte_mapped_thp",
                            "__filemap_get_folio",
                            "filemap_get_entry"});
  tree.restrict_below("do_writepages",
                      {"folio_clear_dirty_for_io", "folio_mkclean", "__folio_start_writeback"});
  EXPECT_EQ(calls("6.12.96", tree), R"(madvise_collapse
  lru_add_drain_all
  hpage_collapse_scan_file
    collapse_file
      alloc_charge_folio
      repeat 4:
        folio_isolate_lru
        filemap_release_folio
          ext4_release_folio
        try_to_unmap
          rmap_walk_file
            try_to_unmap_one
      try_to_unmap_flush
      filemap_write_and_wait_range
        __filemap_fdatawrite_range
          filemap_fdatawrite_wbc
            do_writepages
              repeat 2:
                folio_clear_dirty_for_io
                  folio_mkclean
                __folio_start_writeback
        __filemap_fdatawait_range
      folio_add_lru
      repeat 2:
        folio_unlock
      repeat 3:
        __folio_put
        folio_unlock
      __folio_put
  collapse_pte_mapped_thp
    __filemap_get_folio
      filemap_get_entry
    folio_unlock
)");
}

/* Derived from 6.12/ext4/open-rdwr-with-thp-and-dirty-tail.calls, with batches of 4. The
 * port's buffers have no state of their own, so block_invalidate_folio has nothing to ask
 * filemap_release_folio below it. */
TEST(Open, PurgeCallsWhatLinuxCalls) {
  interleaf::CallTree tree(
      "user", "do_dentry_open",
      {"unmap_mapping_range", "unmap_mapping_pages", "truncate_inode_pages",
       "truncate_inode_pages_range", "find_lock_entries", "truncate_cleanup_folio",
       "folio_invalidate", "ext4_invalidate_folio", "delete_from_page_cache_batch",
       "filemap_unaccount_folio", "filemap_free_folio", "folio_unlock", "__filemap_get_folio",
       "filemap_get_entry", "find_get_entries"});
  EXPECT_EQ(calls("6.12.96", tree), R"(do_dentry_open
  unmap_mapping_range
    unmap_mapping_pages
  truncate_inode_pages
    truncate_inode_pages_range
      find_lock_entries
      truncate_cleanup_folio
      repeat 3:
        truncate_cleanup_folio
          folio_invalidate
            ext4_invalidate_folio
      delete_from_page_cache_batch
        repeat 4:
          filemap_unaccount_folio
        repeat 4:
          filemap_free_folio
      repeat 4:
        folio_unlock
      find_lock_entries
      repeat 3:
        truncate_cleanup_folio
          folio_invalidate
            ext4_invalidate_folio
      delete_from_page_cache_batch
        repeat 3:
          filemap_unaccount_folio
        repeat 3:
          filemap_free_folio
      repeat 3:
        folio_unlock
      find_lock_entries
      repeat 2:
        __filemap_get_folio
          filemap_get_entry
      find_get_entries
)");
}

}  // namespace
}  // namespace kernel
