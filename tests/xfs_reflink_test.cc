// SPDX-License-Identifier: GPL-2.0-only
// XFS: shared blocks and their copies, SEEK_HOLE and SEEK_DATA, zoned devices; one task at a time,
// against arrays.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/prng.h"
#include "tests/kernel_harness.h"

namespace kernel {
namespace {

constexpr loff_t kBlock = 1024;
constexpr loff_t kSizeMax = 32 * kBlock;
using Bytes = std::array<char, kSizeMax>;

harness_options xfs(const char* kernel_name) {
  harness_options options{.persona_name = "xfs"};
  options.geo.block_size = kBlock;
  options.geo.disk_blocks = 1 << 20;  // nothing is used again
  options.kernel_name = kernel_name;
  return options;
}

// What a task left, said when the run is over; a string of the test must not grow inside it.
struct note {
  char text[512] = {};
  void add(const std::string& what) {
    const std::size_t used = std::char_traits<char>::length(text);
    what.copy(text + used, sizeof text - 1 - used);
  }
};

std::string run_alone(const harness_options& options, void (*body)(file* f, file* g, note&)) {
  note left;
  kernel_harness harness(options);
  harness.task("user", [&] {
    file* f = do_open(create_inode("f"), O_RDWR);
    file* g = do_open(create_inode("g"), O_RDWR);
    body(f, g, left);
    filp_close(f);
    filp_close(g);
  });
  const interleaf::RunResult& result = harness.run(0u);
  std::string findings;
  for (const interleaf::Finding& finding : result.findings) findings += finding.message + "\n";
  EXPECT_EQ(findings, "");
  return left.text;
}

void write_at(file* f, loff_t pos, std::size_t len, char byte) {
  Bytes bytes;
  bytes.fill(byte);
  BUG_ON(vfs_write(f, pos, bytes.data(), len) != static_cast<long>(len));
}

void sync(file* f) { BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0); }

// The first byte of every block, '.' for zero.
std::string contents(file* f) {
  Bytes bytes;
  const long got = vfs_read(f, 0, bytes.data(), bytes.size());
  BUG_ON(got < 0);
  std::string text;
  for (long at = 0; at < got; at += kBlock) {
    text += bytes[static_cast<std::size_t>(at)] == 0 ? '.' : bytes[static_cast<std::size_t>(at)];
  }
  return text;
}

// A letter per block of a fork: '-' hole, 'd' delalloc, 'u' unwritten, 'W' written.
std::string kinds(const file* f, xfs_fork whichfork) {
  std::string text;
  for (const xfs_bmbt_irec& rec : xfs_ifork_ptr(XFS_I(f->f_inode), whichfork)->extents) {
    text.resize(rec.br_startoff, '-');
    text.append(rec.br_blockcount, "-duW"[static_cast<int>(rec.kind)]);
  }
  return text;
}

TEST(XfsReflink, CopiesSharedBlocksWhenTheyAreWritten) {
  const auto body = [](file* f, file* g, note& left) {
    write_at(f, 0, 4 * kBlock, 'a');
    BUG_ON(ioctl_file_clone_range(g, f, 0, 0, 0) != 0);
    left.add(contents(g) + " " + kinds(g, XFS_DATA_FORK));
    write_at(g, kBlock, 10, 'b');
    left.add(", " + kinds(g, XFS_COW_FORK).substr(0, 6));
    const auto shared = XFS_I(g->f_inode)->i_df.extents.front().br_startblock;
    sync(g);
    left.add(", " + contents(f) + " " + contents(g) + " " + kinds(g, XFS_COW_FORK).substr(0, 6));
    const auto& extents = XFS_I(g->f_inode)->i_df.extents;
    left.add(extents.size() == 3 && extents[0].br_startblock == shared &&
                     extents[1].br_startblock != shared + 1 &&
                     extents[2].br_startblock == shared + 2
                 ? " one copy"
                 : " otherwise");
  };
  EXPECT_EQ(run_alone(xfs("6.12.95"), body), "aaaa WWWW, dddddd, aaaa abaa u-uuuu one copy");
}

TEST(XfsReflink, KeepsTheRestOfABlockThatIsWrittenInPart) {
  const auto body = [](file* f, file* g, note& left) {
    write_at(f, 0, 2 * kBlock, 'a');
    BUG_ON(ioctl_file_clone_range(g, f, 0, 0, 0) != 0);
    BUG_ON(drop_caches_sysctl_handler() != 0);
    write_at(g, 10, 5, 'b');
    sync(g);
    BUG_ON(drop_caches_sysctl_handler() != 0);
    char bytes[20];
    BUG_ON(vfs_read(g, 5, bytes, sizeof bytes) != sizeof bytes);
    left.add(std::string(bytes, sizeof bytes));
  };
  EXPECT_EQ(run_alone(xfs("6.12.95"), body), "aaaaabbbbbaaaaaaaaaa");
}

TEST(XfsReflink, UnshareCopiesAllAndForgetsTheSharing) {
  const auto body = [](file* f, file* g, note& left) {
    write_at(f, 0, 3 * kBlock, 'a');
    BUG_ON(ioctl_file_clone_range(g, f, 0, 0, 0) != 0);
    left.add(XFS_I(g->f_inode)->is_reflink.peek() ? "shares " : "-");
    BUG_ON(vfs_fallocate(g, FALLOC_FL_UNSHARE_RANGE, 0, 3 * kBlock) != 0);
    left.add(contents(g) + " " + kinds(g, XFS_DATA_FORK) + " [" + kinds(g, XFS_COW_FORK) + "]");
    left.add(XFS_I(g->f_inode)->is_reflink.peek() ? " shares" : " alone");
    left.add(" " + std::to_string(g->f_inode->i_sb->refcounts.size()));
  };
  EXPECT_EQ(run_alone(xfs("6.6"), body), "shares aaa WWW [] alone 0");
  // The inode is dirty until the flusher has been there: the COW fork might be in use.
  const std::string spare(29, 'u');
  EXPECT_EQ(run_alone(xfs("6.12.95"), body), "shares aaa WWW [---" + spare + "] shares 0");
}

TEST(XfsReflink, RefusesPartsOfBlocksAndOverlaps) {
  const auto body = [](file* f, file* g, note& left) {
    write_at(f, 0, 2 * kBlock + 100, 'a');
    const auto add = [&](file* to, loff_t from, loff_t len, loff_t at) {
      left.add(" " + std::to_string(ioctl_file_clone_range(to, f, from, len, at)));
    };
    add(g, 100, kBlock, 0);
    add(g, 0, 100, 0);
    add(g, 0, kBlock, 100);
    add(g, 0, 4 * kBlock, 0);
    add(f, 0, 2 * kBlock, kBlock);
    add(g, 2 * kBlock, 100, 0);  // the end of the file may be a part
    add(g, 0, 0, 4 * kBlock);
    left.add(" " + std::to_string(i_size_read(g->f_inode)));
  };
  EXPECT_EQ(run_alone(xfs("6.12.95"), body), " -22 -22 -22 -22 -22 0 0 6244");
}

TEST(XfsSeek, KnowsHolesAndWhatTheCacheHasOfUnwrittenBlocks) {
  const auto body = [](file* f, file*, note& left) {
    BUG_ON(do_ftruncate(f, 12 * kBlock) != 0);
    write_at(f, 4 * kBlock, 10, 'a');                          // delalloc
    BUG_ON(vfs_fallocate(f, 0, 8 * kBlock, 4 * kBlock) != 0);  // unwritten
    write_at(f, 9 * kBlock + 5, 10, 'b');                      // dirty over it
    for (loff_t at = 0; at < 12 * kBlock; at += kBlock) {
      left.add(" " + std::to_string(vfs_llseek(f, at, SEEK_DATA) / kBlock));
      left.add(":" + std::to_string(vfs_llseek(f, at, SEEK_HOLE) / kBlock));
    }
    left.add(" " + std::to_string(vfs_llseek(f, 12 * kBlock, SEEK_HOLE)));
  };
  // Block by block: the next data, the next hole. -ENXIO / 1024 is 0.
  EXPECT_EQ(run_alone(xfs("6.12.95"), body),
            " 4:0 4:1 4:2 4:3 4:5 9:5 9:6 9:7 9:8 9:10 0:10 0:11 -6");
}

// A line of bytes per file, and what calls do to it.
struct model {
  Bytes bytes = {};
  loff_t size = 0;

  void write(loff_t pos, loff_t len, char byte) {
    std::fill_n(bytes.begin() + pos, len, byte);
    size = std::max(size, pos + len);
  }
  void truncate(loff_t to) {
    if (to < size) std::fill(bytes.begin() + to, bytes.end(), 0);
    size = to;
  }
};

bool agrees(file* f, const model& wanted) {
  Bytes bytes;
  const long got = vfs_read(f, 0, bytes.data(), bytes.size());
  return got == wanted.size && i_size_read(f->f_inode) == wanted.size &&
         std::equal(bytes.begin(), bytes.begin() + got, wanted.bytes.begin());
}

std::uint64_t calls_seed = 0;

// Two files that share blocks in every way; after each call both are as the models.
void random_calls(file* f, file* g, note& left) {
  interleaf::Prng random(calls_seed);
  const auto below = [&](loff_t limit) {
    return static_cast<loff_t>(random.below(static_cast<std::uint32_t>(limit)));
  };
  file* files[] = {f, g};
  static model models[2];
  models[0] = models[1] = {};
  for (int i = 0; i < 500; ++i) {
    const std::size_t which = random.below(2);
    file* to = files[which];
    model& m = models[which];
    const loff_t pos = below(kSizeMax - 1);
    const loff_t len = 1 + below(std::min<loff_t>(kSizeMax - pos, 9000));
    switch (random.below(8)) {
      case 0:
      case 1: {
        const char byte = static_cast<char>('a' + i % 26);
        write_at(to, pos, static_cast<std::size_t>(len), byte);
        m.write(pos, len, byte);
        break;
      }
      case 2: {  // whole blocks of the other file
        const loff_t from = pos / kBlock * kBlock;
        const loff_t at = below(kSizeMax / kBlock) * kBlock;
        const model& source = models[1 - which];
        const loff_t count = std::min(len / kBlock * kBlock, kSizeMax - at);
        if (count == 0 || from + count > source.size) break;
        BUG_ON(ioctl_file_clone_range(to, files[1 - which], from, count, at) != 0);
        std::copy_n(source.bytes.begin() + from, count, m.bytes.begin() + at);
        m.size = std::max(m.size, at + count);
        break;
      }
      case 3:
        BUG_ON(vfs_fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len) != 0);
        std::fill_n(m.bytes.begin() + pos, std::max<loff_t>(0, std::min(len, m.size - pos)), 0);
        break;
      case 4: {
        const long error = vfs_fallocate(to, FALLOC_FL_UNSHARE_RANGE, pos, len);
        BUG_ON(error != 0);
        m.size = std::max(m.size, pos + len);
        break;
      }
      case 5:
        BUG_ON(do_ftruncate(to, pos) != 0);
        m.truncate(pos);
        break;
      case 6:
        sync(to);
        break;
      default:
        BUG_ON(drop_caches_sysctl_handler() != 0);
        break;
    }
    if (!agrees(f, models[0]) || !agrees(g, models[1])) {
      left.add("differs after call " + std::to_string(i));
      return;
    }
  }
  left.add("as the models");
}

TEST(XfsReflink, AgreesWithArraysOverRandomCalls) {
  for (const char* name : {"6.12.95", "6.19", "7.1"}) {
    for (calls_seed = 1; calls_seed <= 2; ++calls_seed) {
      EXPECT_EQ(run_alone(xfs(name), random_calls), "as the models") << name << " " << calls_seed;
    }
  }
}

TEST(XfsZoned, WritesToNewBlocksOnly) {
  harness_options zoned = xfs("7.1");
  zoned.with = patch_bit(Patch::kZoned);
  const auto body = [](file* f, file*, note& left) {
    write_at(f, 0, 4 * kBlock, 'a');
    left.add("[" + kinds(f, XFS_DATA_FORK) + "] " + kinds(f, XFS_COW_FORK));
    sync(f);
    const auto before = XFS_I(f->f_inode)->i_df.extents.front().br_startblock;
    write_at(f, 0, 4 * kBlock, 'b');
    sync(f);
    BUG_ON(drop_caches_sysctl_handler() != 0);
    left.add(", " + kinds(f, XFS_DATA_FORK) + " [" + kinds(f, XFS_COW_FORK) + "] " + contents(f));
    left.add(XFS_I(f->f_inode)->i_df.extents.front().br_startblock != before ? " moved"
                                                                             : " stayed");
  };
  EXPECT_EQ(run_alone(zoned, body), "[] dddd, WWWW [] bbbb moved");
}

}  // namespace
}  // namespace kernel
