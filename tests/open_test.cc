// SPDX-License-Identifier: GPL-2.0-only
// Opening, closing and truncating, and the purge that a write-open may do.
#include <gtest/gtest.h>

#include <string>

#include "engine/kernel/writeback.h"
#include "tests/collapse_helpers.h"

namespace kernel {
namespace {

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
  unsigned truncate_begin(inode&) override {
    tell("truncate");
    return 5;
  }
  void truncate_range(unsigned truncation, loff_t pos, loff_t len) override {
    CHECK(truncation == 5);
    tell("from " + std::to_string(pos) + (len < 0 ? "-" : "+" + std::to_string(len)));
  }
  void zero_end(unsigned zeroing, bool done) override {
    CHECK(zeroing == 5);
    tell(done ? "zeroed" : "not zeroed");
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
  EXPECT_EQ(
      watcher.told,
      "truncate; from 8192-; size 8192; zeroed; truncate; from 8192+8192; size 16384; zeroed; "
      "truncate; from 0-; size 0; zeroed");
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

}  // namespace
}  // namespace kernel
