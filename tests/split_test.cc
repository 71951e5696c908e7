// SPDX-License-Identifier: GPL-2.0-only
// Large folios that become small: by truncation, by MADV_PAGEOUT of a part; and MADV_PAGEOUT of
// what can go as it is.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/collapse_helpers.h"

namespace kernel {
namespace {

constexpr std::size_t kHuge = 4 * kPage;

/* Maps the file's first huge page and touches it: by a PMD entry, once it is collapsed. */
std::uint64_t map_huge(mm_struct* mm, inode* node) {
  file* f = do_open(node, O_RDONLY);
  const std::int64_t address = do_mmap(mm, f, 0, kHuge, PROT_READ, MAP_PRIVATE);
  filp_close(f);
  unsigned char byte = 0;
  for (unsigned i = 0; i < 4; ++i)
    access_load(mm, static_cast<std::uint64_t>(address) + i * kPage, &byte, 1);
  EXPECT_EQ(do_madvise(mm, static_cast<std::uint64_t>(address), kHuge, kMadvCollapse), 0);
  access_load(mm, static_cast<std::uint64_t>(address), &byte, 1);
  return static_cast<std::uint64_t>(address);
}

struct split_story {
  harness_options options;
  std::uint64_t out_from = 0; /* MADV_PAGEOUT of these bytes of the mapping */
  std::uint64_t out_len = 0;
  bool second_mapping = false;
  bool dirty_tail = false; /* a page behind the huge one */
  int error = -1;
  std::string cached; /* after it */
  int nr_thps = -1;
  long nr_file_thps = -1;
  bool read_back = false;
  std::string found;

  void run() {
    kernel_harness machine(options);
    machine.file("data", pattern(4));
    mm_struct* mm = nullptr;
    mm_struct* other = nullptr;
    machine.setup([&] {
      mm = new mm_struct("user", 16);
      other = new mm_struct("other", 16);
    });
    machine.task("user", [&] {
      inode* node = find_inode("data");
      const std::uint64_t address = map_huge(mm, node);
      if (second_mapping) map_huge(other, node);
      error = do_madvise(mm, address + out_from, out_len, MADV_PAGEOUT);
      lru_add_drain_all();
    });
    const interleaf::RunResult& result = machine.run_in_order();
    EXPECT_EQ(result.end, interleaf::RunEnd::kFinished);
    for (const interleaf::Finding& finding : result.findings) found += finding.message + "\n";
    machine.inspect([&] {
      const inode* node = find_inode("data");
      cached = cache(find_inode("data"), 0, 4);
      nr_thps = node->i_data.nr_thps.peek();
      nr_file_thps = this_machine().stat.nr_file_thps.peek();
    });
  }
};

TEST(Pageout, FreesAHugePageThatOneMappingHas) {
  split_story story{.out_len = kHuge};
  story.run();
  EXPECT_EQ(story.error, 0);
  EXPECT_EQ(story.found, "");
  EXPECT_EQ(story.cached, "0:- 1:- 2:- 3:-");
  EXPECT_EQ(story.nr_thps, 0);
  EXPECT_EQ(story.nr_file_thps, 0);
}

TEST(Pageout, LeavesAHugePageThatTwoMappingsHave) {
  split_story story{.out_len = kHuge, .second_mapping = true};
  story.run();
  EXPECT_EQ(story.found, "");
  EXPECT_EQ(story.cached, "0:r6m2HL 1:r6m2HL 2:r6m2HL 3:r6m2HL");
  EXPECT_EQ(story.nr_thps, 1);
}

TEST(Pageout, SplitsAHugePageThatItTakesAPartOf) {
  split_story story{.out_from = kPage, .out_len = kPage};
  story.run();
  EXPECT_EQ(story.error, 0);
  EXPECT_EQ(story.found, "");
  /* The split unmapped them all, so nothing is left that the mapping could page out. */
  EXPECT_EQ(story.cached, "0:r1L 1:r1L 2:r1L 3:r1L");
  EXPECT_EQ(story.nr_thps, 0);
  EXPECT_EQ(story.nr_file_thps, 0);
}

TEST(Pageout, SplitForgetsToCountDownWithoutTheFix) {
  split_story story{.options = {.without = patch_bit(Patch::kSplitCountsThp)},
                    .out_from = kPage,
                    .out_len = kPage};
  story.run();
  EXPECT_EQ(story.nr_thps, 1);
  EXPECT_EQ(story.nr_file_thps, 0);
}

TEST(Pageout, LeavesDirtyPagesAndThoseUnderWriteback) {
  kernel_harness machine;
  machine.file("data", pattern(2));
  mm_struct* mm = nullptr;
  machine.setup([&] { mm = new mm_struct("user", 16); });
  machine.task("user", [&] {
    inode* node = find_inode("data");
    file* f = do_open(node, O_RDWR);
    const auto address =
        static_cast<std::uint64_t>(do_mmap(mm, f, 0, 2 * kPage, PROT_READ, MAP_SHARED));
    unsigned char byte = 0;
    access_load(mm, address, &byte, 1);
    access_load(mm, address + kPage, &byte, 1);
    vfs_write(f, 0, "x", 1);
    lru_add_drain_all();
    do_madvise(mm, address, 2 * kPage, MADV_PAGEOUT);
    lru_add_drain_all();
    filp_close(f);
  });
  const interleaf::RunResult& result = machine.run_in_order();
  EXPECT_TRUE(result.clean());
  EXPECT_EQ(machine.inspect([&] { return cache(find_inode("data"), 0, 2); }), "0:r2LDPd 1:-");
}

TEST(Pageout, FreesPagesThatWereUsedOften) {
  kernel_harness machine;
  machine.file("data", pattern(2));
  mm_struct* mm = nullptr;
  bool active = false;
  machine.setup([&] { mm = new mm_struct("user", 16); });
  machine.task("user", [&] {
    inode* node = find_inode("data");
    char byte = 0;
    for (int i = 0; i < 3; ++i) read_pages(node, 0, 1, &byte);
    lru_add_drain_all();
    active = folio_test_active(static_cast<folio*>(xa_peek(&node->i_data.i_pages, 0).entry));
    file* f = do_open(node, O_RDWR);
    const auto address =
        static_cast<std::uint64_t>(do_mmap(mm, f, 0, kPage, PROT_READ, MAP_SHARED));
    unsigned char seen = 0;
    access_load(mm, address, &seen, 1);
    do_madvise(mm, address, kPage, MADV_PAGEOUT);
    filp_close(f);
  });
  const interleaf::RunResult& result = machine.run_in_order();
  EXPECT_TRUE(result.clean());
  EXPECT_TRUE(active);
  EXPECT_EQ(machine.inspect([&] { return cache(find_inode("data"), 0, 1); }), "0:-");
}

TEST(Split, TruncationInsideAHugePageKeepsWhatIsBeforeIt) {
  kernel_harness machine;
  machine.file("data", pattern(4));
  mm_struct* mm = nullptr;
  std::string got(2 * kPage, '\0');
  long got_len = 0;
  machine.setup([&] { mm = new mm_struct("user", 16); });
  machine.task("user", [&] {
    inode* node = find_inode("data");
    EXPECT_EQ(map_and_collapse(mm, node), 0);
    EXPECT_EQ(vfs_truncate(node, kPage + 10), 0);
    lru_add_drain_all();
    got_len = read_pages(node, 0, 2 * kPage, got.data());
  });
  const interleaf::RunResult& result = machine.run_in_order();
  EXPECT_EQ(result.end, interleaf::RunEnd::kFinished);
  EXPECT_TRUE(result.clean());
  EXPECT_EQ(got_len, static_cast<long>(kPage + 10));
  got.resize(kPage + 10);
  EXPECT_EQ(got, pattern(4).substr(0, kPage + 10));
  machine.inspect([&] {
    const inode* node = find_inode("data");
    EXPECT_EQ(node->i_data.nr_thps.peek(), 0);
    EXPECT_EQ(huge_pages(find_inode("data"), 4), 0u);
    EXPECT_EQ(xa_peek(&node->i_data.i_pages, 2).entry, nullptr);
  });
}

/* A reader, a truncation inside the huge page and a second mapping, in many orders. */
TEST(Split, IsSafeAgainstReadersAndFaults) {
  kernel_harness machine;
  machine.file("data", pattern(4));
  mm_struct* mm = nullptr;
  std::string got(kHuge, '\0');
  const std::string wanted = pattern(4);
  machine.setup([&] { mm = new mm_struct("user", 16); });
  bool collapsed = false;
  machine.task("user", [&] {
    inode* node = find_inode("data");
    collapsed = map_and_collapse(mm, node) == 0;
    vfs_truncate(node, kPage + 10);
  });
  machine.task("reader", [&] { read_pages(find_inode("data"), 0, kPage, got.data()); });
  mm_struct* other = nullptr;
  machine.setup([&] { other = new mm_struct("other", 16); });
  machine.task("other", [&] {
    file* f = do_open(find_inode("data"), O_RDONLY);
    const std::int64_t address = do_mmap(other, f, 0, kHuge, PROT_READ, MAP_SHARED);
    unsigned char byte = 0;
    access_load(other, static_cast<std::uint64_t>(address), &byte, 1);
    do_madvise(other, static_cast<std::uint64_t>(address), kPage, MADV_PAGEOUT);
    filp_close(f);
  });
  unsigned splits = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const interleaf::RunResult& result = machine.run(seed);
    ASSERT_EQ(result.end, interleaf::RunEnd::kFinished) << seed;
    for (const interleaf::Finding& finding : result.findings) {
      ASSERT_EQ(finding.kind, interleaf::FindingKind::kLockOrder) << seed << finding.message;
    }
    ASSERT_EQ(got.substr(0, kPage), wanted.substr(0, kPage)) << seed;
    machine.inspect([&] {
      const inode* node = find_inode("data");
      EXPECT_EQ(node->i_data.nr_thps.peek(), static_cast<int>(huge_pages(find_inode("data"), 4)));
      splits += collapsed && node->i_data.nr_thps.peek() == 0;
    });
  }
  EXPECT_GT(splits, 100u);
}

}  // namespace
}  // namespace kernel
