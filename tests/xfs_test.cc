// SPDX-License-Identifier: GPL-2.0-only
// XFS and iomap, one task at a time: extents, blocks smaller than pages, sizes, fallocate, against
// models that are arrays.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/prng.h"
#include "tests/kernel_harness.h"

namespace kernel {
namespace {

constexpr std::size_t kPage = 4096;

harness_options xfs_with_blocks(unsigned block_size) {
  harness_options options{.persona_name = "xfs"};
  options.geo.block_size = block_size;
  return options;
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

// A letter per block: '-' hole, 'd' delalloc, 'u' unwritten, 'W' written.
std::string kinds(const inode* node) {
  std::string text;
  const super_operations& s_op = *node->i_sb->s_op;
  for (std::uint64_t i = 0; i < s_op.peek_block_count(node); ++i) {
    text += "-duW"[static_cast<int>(s_op.peek_block(node, i).kind)];
  }
  return text;
}

// "uptodate/dirty", a digit per block of the folio at the index.
std::string block_bits(const inode* node, pgoff_t index) {
  const auto* f = static_cast<const folio*>(xa_peek(&node->i_mapping->i_pages, index).entry);
  if (f == nullptr) return "none";
  const auto* ifs = static_cast<const iomap_folio_state*>(f->private_data.peek());
  if (ifs == nullptr) return "no state";
  std::string text;
  for (const bool bit : ifs->uptodate) text += bit ? '1' : '0';
  text += '/';
  for (const bool bit : ifs->dirty) text += bit ? '1' : '0';
  return text;
}

// What a task left, said when the run is over; a string of the test must not grow inside it.
struct note {
  char text[512] = {};
  void add(const std::string& what) {
    const std::size_t used = std::char_traits<char>::length(text);
    what.copy(text + used, sizeof text - 1 - used);
  }
};

std::string run_alone(const harness_options& options, void (*body)(file*, note&)) {
  note left;
  kernel_harness harness(options);
  harness.task("user", [&] {
    file* f = do_open(create_inode("f"), O_RDWR);
    body(f, left);
    filp_close(f);
  });
  const interleaf::RunResult& result = harness.run(0u);
  EXPECT_TRUE(result.findings.empty()) << describe(result);
  return left.text;
}

int allocate(file* f, int mode, loff_t offset, loff_t len) {
  return static_cast<int>(f->f_op->fallocate(f, mode, offset, len));
}

void write_at(file* f, loff_t pos, std::size_t len, char byte) {
  std::array<char, 16 * kPage> bytes;
  bytes.fill(byte);
  BUG_ON(vfs_write(f, pos, bytes.data(), len) != static_cast<long>(len));
}

TEST(Xfs, WritesAndKnowsBlocksOneByOne) {
  EXPECT_EQ(run_alone(xfs_with_blocks(1024),
                      [](file* f, note& left) {
                        BUG_ON(do_ftruncate(f, 4096) != 0);
                        write_at(f, 2100, 10, 'a');
                        left.add(kinds(f->f_inode) + " " + block_bits(f->f_inode, 0));
                        BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
                        left.add(" " + kinds(f->f_inode) + " " + block_bits(f->f_inode, 0));
                      }),
            "--d 0010/0010 --W 0010/0000");
}

TEST(Xfs, WritesAllBlocksOfADirtyFolioBeforeItKnewWhich) {
  harness_options old = xfs_with_blocks(1024);
  old.kernel_name = "6.3";
  const auto body = [](file* f, note& left) {
    write_at(f, 0, 4096, 'a');
    BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
    const std::uint64_t before = this_machine().sb->s_bdev->media.peek();
    write_at(f, 1024, 10, 'b');
    BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
    left.add(std::to_string(this_machine().sb->s_bdev->media.peek() - before));
  };
  EXPECT_EQ(run_alone(old, body), "4");
  EXPECT_EQ(run_alone(xfs_with_blocks(1024), body), "1");
}

TEST(Xfs, ReservesMoreBehindTheEndOfAFileThatIsNotSmall) {
  EXPECT_EQ(run_alone(xfs_with_blocks(4096),
                      [](file* f, note& left) {
                        write_at(f, 0, 2 * kPage, 'a');
                        left.add(kinds(f->f_inode));
                        for (int i = 2; i < 17; ++i) write_at(f, i * 4096, kPage, 'a');
                        left.add(" " + kinds(f->f_inode));
                        BUG_ON(do_ftruncate(f, 4096) != 0);
                        left.add(" " + kinds(f->f_inode));
                      }),
            "dd " + std::string(16 + 1 + 2 * 16, 'd') + " W");
}

TEST(Xfs, AllocatesPunchesZeroesAndMoves) {
  EXPECT_EQ(run_alone(xfs_with_blocks(4096),
                      [](file* f, note& left) {
                        const auto call = [&](int mode, loff_t offset, loff_t len) {
                          BUG_ON(allocate(f, mode, offset, len) != 0);
                          left.add(kinds(f->f_inode) + " " +
                                   std::to_string(f->f_inode->i_size.peek() / 4096) + ", ");
                        };
                        call(0, 0, 16384);
                        write_at(f, 4096, 8192, 'a');
                        call(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096);
                        call(FALLOC_FL_INSERT_RANGE, 4096, 4096);
                        call(FALLOC_FL_COLLAPSE_RANGE, 0, 8192);
                        call(FALLOC_FL_ZERO_RANGE, 0, 8192);
                        call(FALLOC_FL_KEEP_SIZE, 16384, 4096);
                      }),
            "uuuu 4, uu-u 4, u-W-u 5, W-u 3, uuu 3, uuu-u 3, ");
}

// Operations at random on a file of at most 12 pages, and what each byte must be then.
struct byte_model {
  static constexpr std::size_t kMax = 12 * kPage;
  std::array<char, kMax> bytes{};
  std::size_t size = 0;

  void extend(std::size_t to) {
    if (to <= size) return;
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(size),
              bytes.begin() + static_cast<std::ptrdiff_t>(to), 0);
    size = to;
  }
};

class random_user {
 public:
  random_user(std::uint64_t seed, byte_model& model) : prng_(seed), model_(model) {}

  void step(file* f) {
    const std::size_t block = this_machine().geo.block_size;
    std::size_t pos = prng_.below(byte_model::kMax);
    std::size_t len = 1 + prng_.below(std::min<std::size_t>(byte_model::kMax - pos, 3 * kPage));
    switch (prng_.below(10)) {
      case 0:
      case 1:
      case 2:
        return write(f, pos, len);
      case 3:
        return truncate(f, pos);
      case 4:
        return zero(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len);
      case 5:
        return zero(f, FALLOC_FL_ZERO_RANGE, pos, len);
      case 6:
        return zero(f, 0, pos, len);
      case 7:
        return shift(f, pos / block * block, (len + block - 1) / block * block);
      case 8:
        BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
        return;
      default:
        invalidate_mapping_pages(f->f_mapping, 0, ~pgoff_t{0});
    }
  }
  void check(file* f) {
    std::array<char, byte_model::kMax> got{};
    BUG_ON(f->f_inode->i_size.peek() != static_cast<loff_t>(model_.size));
    BUG_ON(vfs_read(f, 0, got.data(), got.size()) != static_cast<long>(model_.size));
    BUG_ON(!std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(model_.size),
                       model_.bytes.begin()));
  }

 private:
  char* at(std::size_t pos) { return model_.bytes.data() + pos; }

  void write(file* f, std::size_t pos, std::size_t len) {
    const char byte = static_cast<char>('a' + prng_.below(26));
    write_at(f, static_cast<loff_t>(pos), len, byte);
    model_.extend(pos + len);
    std::fill(at(pos), at(pos + len), byte);
  }
  void truncate(file* f, std::size_t size) {
    BUG_ON(do_ftruncate(f, static_cast<loff_t>(size)) != 0);
    model_.extend(size);
    model_.size = size;
  }
  void zero(file* f, int mode, std::size_t pos, std::size_t len) {
    BUG_ON(allocate(f, mode, static_cast<loff_t>(pos), static_cast<loff_t>(len)) != 0);
    if ((mode & FALLOC_FL_KEEP_SIZE) == 0) model_.extend(pos + len);
    if (mode != 0 && pos < model_.size) std::fill(at(pos), at(std::min(pos + len, model_.size)), 0);
  }
  void shift(file* f, std::size_t pos, std::size_t len) {
    const bool inserts = prng_.below(2) == 0;
    const bool fits = inserts ? pos < model_.size && model_.size + len <= byte_model::kMax
                              : pos + len < model_.size;
    if (!fits) return;
    const int mode = inserts ? FALLOC_FL_INSERT_RANGE : FALLOC_FL_COLLAPSE_RANGE;
    BUG_ON(allocate(f, mode, static_cast<loff_t>(pos), static_cast<loff_t>(len)) != 0);
    if (inserts) {
      std::copy_backward(at(pos), at(model_.size), at(model_.size + len));
      std::fill(at(pos), at(pos + len), 0);
      model_.size += len;
    } else {
      std::copy(at(pos + len), at(model_.size), at(pos));
      model_.size -= len;
    }
  }

  interleaf::Prng prng_;
  byte_model& model_;
};

void agrees_with_an_array(unsigned block_size, std::string_view kernel, patch_set with) {
  harness_options options = xfs_with_blocks(block_size);
  options.kernel_name = kernel;
  options.with = with;
  options.geo.disk_blocks = 1 << 20;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    byte_model model;
    kernel_harness harness(options);
    harness.task("user", [&] {
      file* f = do_open(create_inode("f"), O_RDWR);
      random_user user(seed, model);
      for (int i = 0; i < 60; ++i) {
        user.step(f);
        user.check(f);
      }
      sync_filesystem(this_machine().sb);
      std::array<char, byte_model::kMax> disk{};
      peek_disk(f->f_inode, 0, model.size, disk.data());
      BUG_ON(!std::equal(disk.begin(), disk.begin() + static_cast<std::ptrdiff_t>(model.size),
                         model.bytes.begin()));
      BUG_ON(f->f_inode->i_disksize.peek() != static_cast<loff_t>(model.size));
      filp_close(f);
      generic_shutdown_super(this_machine().sb);
    });
    const interleaf::RunResult& result = harness.run(seed);
    ASSERT_EQ(result.end, interleaf::RunEnd::kFinished) << kernel << " seed " << seed << "\n"
                                                        << describe(result);
    ASSERT_TRUE(result.findings.empty()) << kernel << " seed " << seed << "\n" << describe(result);
  }
}

class XfsBytes : public testing::TestWithParam<const char*> {};

TEST_P(XfsBytes, AreThoseOfAnArray) {
  for (const unsigned block_size : {1024u, 4096u}) agrees_with_an_array(block_size, GetParam(), 0);
}

INSTANTIATE_TEST_SUITE_P(Kernels, XfsBytes,
                         testing::Values("6.0", "6.3", "6.6", "6.12", "6.18", "6.19", "7.1"));

TEST(Xfs, ZeroesByZeroRangeAloneWithABatch) {
  for (const char* kernel : {"6.12", "6.18", "6.19", "7.1"}) {
    for (const unsigned block_size : {1024u, 4096u}) {
      agrees_with_an_array(block_size, kernel, patch_bit(Patch::kForceZeroRange));
    }
  }
}

TEST(Xfs, RefusesAWriteThatHasNoSpace) {
  harness_options options = xfs_with_blocks(4096);
  options.geo.disk_blocks = 2;
  EXPECT_EQ(run_alone(options,
                      [](file* f, note& left) {
                        const std::array<char, 3 * kPage> bytes{};
                        const long got = vfs_write(f, 0, bytes.data(), bytes.size());
                        left.add(std::to_string(got) + " " + kinds(f->f_inode));
                        write_at(f, 0, 2 * kPage, 'a');
                        BUG_ON(vfs_fsync_range(f, 0, LLONG_MAX_POS, false) != 0);
                        left.add(" " + kinds(f->f_inode));
                      }),
            std::to_string(-ENOSPC) + "  WW");
}

// Extents by themselves, against an array of kinds.
TEST(Xfs, KeepsExtentsAsAnArrayOfKindsWould) {
  constexpr std::uint64_t kBlocks = 40;
  harness_options options = xfs_with_blocks(4096);
  options.geo.disk_blocks = 1 << 20;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    kernel_harness harness(options);
    harness.task("user", [seed] {
      interleaf::Prng prng(seed);
      std::array<char, 2 * kBlocks> model;
      model.fill('-');
      inode* node = create_inode("f");
      xfs_inode* ip = XFS_I(node);
      for (int step = 0; step < 200; ++step) {
        const std::uint64_t first = prng.below(kBlocks);
        const std::uint64_t len = 1 + prng.below(kBlocks - first);
        const std::uint64_t end = first + len;
        const std::uint32_t seq = ip->i_df.if_seq.peek();
        const auto before = model;
        switch (prng.below(5)) {
          case 0:
            xfs_bmap_punch_delalloc_range(ip, XFS_DATA_FORK, XFS_FSB_TO_B(first),
                                          XFS_FSB_TO_B(end));
            for (std::uint64_t i = first; i < end; ++i) model[i] = model[i] == 'd' ? '-' : model[i];
            break;
          case 1: {
            if (model[first] != '-') break;
            xfs_bmbt_irec got;
            xfs_ilock(ip);
            BUG_ON(xfs_bmapi_reserve_delalloc(ip, XFS_DATA_FORK, first, len, 2, &got) != 0);
            xfs_iunlock(ip);
            BUG_ON(got.br_startoff != first || got.end() <= first || got.end() > end + 2);
            for (std::uint64_t i = first; i < end + 2 && model[i] == '-'; ++i) model[i] = 'd';
            break;
          }
          case 2: {
            if (model[first] != 'd') break;
            iomap map;
            std::uint32_t cookie;
            BUG_ON(xfs_bmapi_convert_delalloc(ip, XFS_DATA_FORK, XFS_FSB_TO_B(first), &map,
                                              &cookie) != 0);
            std::uint64_t i = first;
            while (i > 0 && model[i - 1] == 'd') --i;
            for (; model[i] == 'd'; ++i) model[i] = 'u';
            break;
          }
          case 3:
            xfs_ilock(ip);
            xfs_bmapi_convert_unwritten(ip, XFS_DATA_FORK, first, len);
            xfs_iunlock(ip);
            for (std::uint64_t i = first; i < end; ++i) model[i] = model[i] == 'u' ? 'W' : model[i];
            break;
          default:
            if (prng.below(3) != 0) break;
            xfs_ilock(ip);
            xfs_bunmapi(ip, XFS_DATA_FORK, first, len);
            xfs_iunlock(ip);
            for (std::uint64_t i = first; i < end; ++i) model[i] = '-';
        }
        BUG_ON((model != before) != (ip->i_df.if_seq.peek() != seq));
        const std::string got = kinds(node);
        std::uint64_t delayed = 0;
        for (std::uint64_t i = 0; i < model.size(); ++i) {
          BUG_ON((i < got.size() ? got[i] : '-') != model[i]);
          delayed += model[i] == 'd';
        }
        BUG_ON(ip->i_delayed_blks != delayed || node->i_sb->delayed_blocks != delayed);
      }
    });
    const interleaf::RunResult& result = harness.run(seed);
    ASSERT_TRUE(result.findings.empty()) << "seed " << seed << "\n" << describe(result);
  }
}

// Which blocks the cache has of a file is set at random, by writing and reading them.
TEST(SeekHoleData, FindsWhatIsUptodate) {
  constexpr loff_t kBlock = 1024;
  constexpr loff_t kBlocks = 16;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    kernel_harness harness(xfs_with_blocks(kBlock));
    harness.task("user", [seed] {
      interleaf::Prng prng(seed);
      std::array<bool, kBlocks> there{};
      file* f = do_open(create_inode("f"), O_RDWR);
      BUG_ON(do_ftruncate(f, kBlock * kBlocks) != 0);
      for (int i = 0; i < 6; ++i) {
        const auto block = static_cast<loff_t>(prng.below(kBlocks));
        write_at(f, block * kBlock, kBlock, 'a');
        there[static_cast<std::size_t>(block)] = true;
      }
      for (loff_t start = 0; start < kBlock * kBlocks; start += 512) {
        for (loff_t end = start + 512; end <= kBlock * kBlocks; end += 1536) {
          loff_t data = start;
          while (data < end && !there[static_cast<std::size_t>(data / kBlock)])
            data = (data + kBlock) / kBlock * kBlock;
          loff_t hole = start;
          while (hole < end && there[static_cast<std::size_t>(hole / kBlock)])
            hole = (hole + kBlock) / kBlock * kBlock;
          const loff_t found = mapping_seek_hole_data(f->f_mapping, start, end, SEEK_DATA);
          /* Data of the same folio, but behind `end`: that is no error. */
          BUG_ON(data < end ? found != data : found != -ENXIO && found != end);
          BUG_ON(mapping_seek_hole_data(f->f_mapping, start, end, SEEK_HOLE) !=
                 std::min(hole, end));
        }
      }
      filp_close(f);
    });
    const interleaf::RunResult& result = harness.run(seed);
    ASSERT_TRUE(result.findings.empty()) << "seed " << seed << "\n" << describe(result);
  }
}

}  // namespace
}  // namespace kernel
