// SPDX-License-Identifier: GPL-2.0-only
// Huge pages in the cache of a file that nobody writes: when they come, and what stays as it was
// when they do not.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "tests/collapse_helpers.h"

namespace kernel {
namespace {

/* Collapse, append and close, collapse again, open for write, read the tail back. */
struct june_2026 {
  std::string tail = pattern(2);
  int collapsed[2] = {-1, -1};
  int nr_thps = -1;
  bool dirty_beside_thp = false;
  pgoff_t end = 0; /* of the file, in pages, before the append */
  unsigned char got[2 * kPage] = {};
  long got_len = -1;
  std::string found;

  /* What became of the appended bytes: "cache", "disk", "zeros". */
  std::string run(harness_options options) {
    kernel_harness machine(options);
    end = 2 * options.geo.hpage_pages;
    machine.file("data", pattern(2 * options.geo.hpage_pages));
    mm_struct* mm = nullptr;
    machine.setup([&] { mm = new mm_struct("user", 16); });
    machine.task("user", [&] {
      inode* node = find_inode("data");
      collapsed[0] = map_and_collapse(mm, node);
      write_pages(node, end, tail);
      collapsed[1] = map_and_collapse(mm, node);
      nr_thps = node->i_data.nr_thps.peek();
      const auto* appended = static_cast<const folio*>(xa_peek(&node->i_data.i_pages, end).entry);
      dirty_beside_thp = appended->flags.peek(PG_dirty);
      filp_close(do_open(node, O_RDWR));
      got_len = read_pages(node, end, sizeof got, got);
    });
    const interleaf::RunResult& result = machine.run_in_order();
    EXPECT_EQ(result.end, interleaf::RunEnd::kFinished);
    for (const interleaf::Finding& finding : result.findings) found += finding.message + "\n";
    return machine.inspect([&] { return fate(find_inode("data")); });
  }

 private:
  std::string fate(inode* node) {
    EXPECT_EQ(got_len, static_cast<long>(tail.size()));
    const bool right = std::equal(tail.begin(), tail.end(), got, [](char a, unsigned char b) {
      return a == static_cast<char>(b);
    });
    const bool zeros = std::ranges::all_of(got, [](unsigned char b) { return b == 0; });
    std::string block(kPage, '\0');
    const super_operations& s_op = *node->i_sb->s_op;
    const block_state there = s_op.peek_block(node, end);
    bool on_disk = s_op.peek_block_count(node) == end + 2 && there.block != BLOCK_HOLE;
    if (on_disk) {
      disk_peek(node->i_sb->s_bdev, there.block, block.data());
      on_disk = block == tail.substr(0, kPage);
    }
    return std::string(right   ? "read"
                       : zeros ? "zeros"
                               : "garbage") +
           (on_disk ? ", on disk" : ", not on disk");
  }
};

TEST(Khugepaged, WriteOpenLosesTheAppendOn6_12_95) {
  june_2026 story;
  EXPECT_EQ(story.run({.kernel_name = "6.12.95"}), "zeros, not on disk");
  EXPECT_EQ(story.collapsed[0], 0);
  EXPECT_EQ(story.collapsed[1], 0);
  EXPECT_EQ(story.nr_thps, 1);
  EXPECT_TRUE(story.dirty_beside_thp);
  EXPECT_EQ(story.found, ""); /* nobody judges the data here */
}

TEST(Khugepaged, WriteOpenLosesTheAppendAtFullSizeToo) {
  june_2026 story;
  EXPECT_EQ(story.run({.geo = {}, .kernel_name = "6.12.95"}), "zeros, not on disk");
  EXPECT_EQ(story.nr_thps, 1);
}

TEST(Khugepaged, CollapseWritesTheAppendOn6_12_96) {
  june_2026 story;
  EXPECT_EQ(story.run({.kernel_name = "6.12.96"}), "read, on disk");
  EXPECT_EQ(story.collapsed[1], 0);
  EXPECT_EQ(story.nr_thps, 1);
  EXPECT_FALSE(story.dirty_beside_thp);
  /* The price of the fix; what it can come to: KhugepagedRaces.PurgeAndCollapse.... */
  EXPECT_EQ(story.found,
            "possible circular locking dependency: user asks for invalidate_lock (inode data) "
            "while it holds folio lock (folio 9 at index 0..3 of data)\n"
            "possible circular locking dependency: user asks for folio lock (folio 10 at index 8 "
            "of data) while it holds jbd2_handle (transaction 1)\n");
}

TEST(Khugepaged, LargeFolioMappingsAreNotCountedAndNotPurged) {
  june_2026 story;
  EXPECT_EQ(story.run({.persona_name = "xfs", .kernel_name = "6.12.95"}), "read, not on disk");
  EXPECT_EQ(story.collapsed[1], 0);
  EXPECT_EQ(story.nr_thps, 0);
  EXPECT_TRUE(story.dirty_beside_thp);
}

/* None of them has a second task here: what they leave open is for scenarios. */
TEST(Khugepaged, ProposalsThatWriteBackOrSpareDirtKeepTheAppend) {
  const std::pair<Patch, const char*> fates[] = {
      {Patch::kKhugepagedWriteAllDirty, "read, on disk"},
      {Patch::kKhugepagedWriteAllDirtyV1, "read, on disk"},
      {Patch::kOpenFlushBeforePurge, "read, on disk"},
      {Patch::kOpenFlushUnderLock, "read, on disk"},
      {Patch::kPurgeCleanOnly, "read, not on disk"},
      /* The huge page is there: looking for it again changes nothing. */
      {Patch::kOpenRecheck, "zeros, not on disk"},
      {Patch::kOpenCheckUnderLock, "zeros, not on disk"},
  };
  for (const auto& [patch, fate] : fates) {
    june_2026 story;
    EXPECT_EQ(story.run({.with = patch_bit(patch)}), fate)
        << patch_at(static_cast<unsigned>(patch)).slug;
  }
}

TEST(Khugepaged, RefusesAFileThatIsOpenForWrite) {
  kernel_harness machine;
  machine.file("data", pattern(4));
  mm_struct* mm = nullptr;
  machine.setup([&] { mm = new mm_struct("user", 16); });
  int while_open = 0;
  int after_close = -1;
  machine.task("user", [&] {
    inode* node = find_inode("data");
    file* writer = do_open(node, O_RDWR);
    while_open = map_and_collapse(mm, node);
    filp_close(writer);
    after_close = map_and_collapse(mm, node);
  });
  EXPECT_TRUE(machine.run_in_order().clean());
  EXPECT_EQ(while_open, -EINVAL);
  EXPECT_EQ(after_close, 0);
}

/* Reads four pages, lets `spoil` act, tries to collapse; the cache before and after. */
struct attempt {
  std::string before, after;
  scan_result result = SCAN_SUCCEED;
  int nr_thps = -1;

  template <typename Spoil>
  void run(harness_options options, Spoil spoil) {
    kernel_harness machine(options);
    machine.file("data", pattern(4));
    machine.task("user", [&] {
      inode* node = find_inode("data");
      unsigned char bytes[4 * kPage];
      read_pages(node, 0, sizeof bytes, bytes);
      file* f = do_open(node, O_RDONLY);
      file* held = spoil(node);
      lru_add_drain_all();
      show(before, node);
      collapse_control cc{.is_khugepaged = true};
      result = hpage_collapse_scan_file(nullptr, 0, f, 0, &cc);
      lru_add_drain_all();
      nr_thps = node->i_data.nr_thps.peek();
      show(after, node);
      if (held != nullptr) filp_close(held);
      filp_close(f);
    });
    EXPECT_TRUE(machine.run_in_order().clean());
  }

 private:
  static void show(std::string& to, inode* node) {
    const interleaf::HeapScope heap;
    to = cache(node, 0, 4);
  }
};

TEST(Khugepaged, RollsBackWhenAPageOfTheRangeIsDirty) {
  attempt dirty;
  dirty.run({.persona_name = "generic"}, [](inode* node) -> file* {
    write_pages(node, 3, "x");
    return nullptr;
  });
  EXPECT_EQ(dirty.result, SCAN_FAIL);
  EXPECT_EQ(dirty.nr_thps, 0);
  EXPECT_EQ(dirty.before, "0:r1L 1:r1L 2:r1L 3:r1LDd");
  EXPECT_EQ(dirty.after, "0:r1L 1:r1L 2:r1L 3:r1LWw"); /* asked for writeback */
}

TEST(Khugepaged, RollsBackWhenAWriterIsThere) {
  for (std::string_view version : {"6.12.95", "6.12.96"}) {
    attempt written;
    written.run({.kernel_name = version}, [](inode* node) { return do_open(node, O_WRONLY); });
    EXPECT_EQ(written.result, SCAN_FAIL);
    EXPECT_EQ(written.nr_thps, 0);
    EXPECT_EQ(written.before, "0:r1L 1:r1L 2:r1L 3:r1L");
    EXPECT_EQ(written.after, written.before);
  }
}

/* Keeps running, and lets the first choice of one kind fail. */
class fail_one final : public interleaf::Strategy {
 public:
  explicit fail_one(std::string_view kind) : kind_(kind) {}
  void begin(std::uint64_t) override {}
  interleaf::TaskId pick(const interleaf::Scheduler& scheduler,
                         interleaf::TaskMask runnable) override {
    return in_order_->pick(scheduler, runnable);
  }
  unsigned pick_value(const interleaf::Scheduler&, const char* kind, unsigned) override {
    return kind_ == kind ? 1 : 0;
  }

 private:
  std::string kind_;
  std::unique_ptr<interleaf::Strategy> in_order_ = interleaf::make_keep_running();
};

std::string outcome_with_fault(std::string_view kind) {
  kernel_harness machine({.faults_max = 1});
  machine.file("data", pattern(4));
  scan_result result = SCAN_SUCCEED;
  std::string after;
  int nr_thps = -1;
  machine.task("user", [&] {
    inode* node = find_inode("data");
    unsigned char bytes[4 * kPage];
    read_pages(node, 0, sizeof bytes, bytes);
    lru_add_drain_all();
    file* f = do_open(node, O_RDONLY);
    collapse_control cc{.is_khugepaged = false};
    result = collapse_file(nullptr, 0, f, 0, &cc);
    lru_add_drain_all();
    nr_thps = node->i_data.nr_thps.peek();
    const interleaf::HeapScope heap;
    after = cache(node, 0, 4);
    filp_close(f);
  });
  fail_one strategy(kind);
  EXPECT_TRUE(machine.run(strategy).clean());
  EXPECT_EQ(nr_thps, 0);
  EXPECT_EQ(after, "0:r1L 1:r1L 2:r1L 3:r1L");
  return scan_result_name(result);
}

TEST(Khugepaged, RollsBackEveryInjectedFailure) {
  EXPECT_EQ(outcome_with_fault("alloc_hugepage"), "cgroup_charge_failed");
  EXPECT_EQ(outcome_with_fault("copy_mc"), "copy_poisoned_page");
}

}  // namespace
}  // namespace kernel
