// SPDX-License-Identifier: GPL-2.0-only
// The collapse of 5.14 and 5.15 (a huge page is a slot per page) and of 6.1 (one entry), alone:
// what is in the cache afterwards, and that a failure leaves it as it was.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "engine/kernel/writeback.h"
#include "tests/collapse_helpers.h"

namespace kernel {
namespace {

/* Collapses pages [0, 4) of a file of eight, all cached, after `spoil` had its way. */
struct attempt {
  std::string before, after, scanned, wrong, got, found;
  scan_result result = SCAN_SUCCEED;
  int nr_thps = -1;
  unsigned order = 0; /* of the entry at 0 */
  unsigned long nrpages = 0;

  using Spoil = std::function<void(inode*)>;

  void run(harness_options options, const Spoil& spoil = {}, const Spoil& repair = {}) {
    options.persona_name = "generic";
    kernel_harness machine(options);
    machine.file("data", pattern(8));
    static unsigned char bytes[8 * kPage];
    machine.task("user", [&] {
      inode* node = find_inode("data");
      read_pages(node, 0, sizeof bytes, bytes);
      lru_add_drain_all();
      file* f = do_open(node, O_RDONLY);
      if (spoil) spoil(node);
      show(before, node);
      collapse_control cc{.is_khugepaged = true};
      result = collapse_file(nullptr, 0, f, 0, &cc);
      lru_add_drain_all();
      nr_thps = node->i_data.nr_thps.peek();
      order = xa_peek(&node->i_data.i_pages, 0).order;
      nrpages = node->i_data.nrpages.peek();
      show(after, node);
      if (repair) repair(node);
      read_pages(node, 0, sizeof bytes, bytes);
      filp_close(f);
    });
    const interleaf::RunResult& run = machine.run_in_order();
    for (const interleaf::Finding& finding : run.findings) found += finding.message + "\n";
    got.assign(bytes, bytes + sizeof bytes);
    machine.inspect([&] {
      const char* text = xa_check(&find_inode("data")->i_data.i_pages);
      wrong = text == nullptr ? "" : text;
    });
  }

 private:
  static void show(std::string& to, inode* node) {
    const interleaf::HeapScope heap;
    to = cache(node, 0, 8);
  }
};

constexpr const char* kSmall = "0:r1L 1:r1L 2:r1L 3:r1L 4:r1L 5:r1L 6:r1L 7:r1L";
constexpr const char* kHuge = "0:r4HL 1:r4HL 2:r4HL 3:r4HL 4:r1L 5:r1L 6:r1L 7:r1L";

harness_options version(std::string_view name, unsigned xa_slots = 4) {
  harness_options options{.kernel_name = name};
  options.geo.xa_slots = xa_slots;
  return options;
}

TEST(CollapseOld, ReplacesTheRangeByOneEntryOrByASlotPerPage) {
  for (const unsigned xa_slots : {2, 4, 8, 64}) {
    for (const char* name : {"5.14.0", "5.15.4", "6.1", "6.12"}) {
      SCOPED_TRACE(std::string(name) + ", " + std::to_string(xa_slots) + " slots");
      attempt one;
      one.run(version(name, xa_slots));
      EXPECT_EQ(one.found, "");
      EXPECT_EQ(one.result, SCAN_SUCCEED);
      EXPECT_EQ(one.before, kSmall);
      EXPECT_EQ(one.after, kHuge);
      EXPECT_EQ(one.order, std::string_view(name).starts_with("5.") ? 0u : 2u);
      EXPECT_EQ(one.nr_thps, 1);
      EXPECT_EQ(one.nrpages, 8u);
      EXPECT_EQ(one.wrong, "");
      EXPECT_EQ(one.got, pattern(8));
    }
  }
}

TEST(CollapseOld, ReadsInWhatIsMissing) {
  for (const char* name : {"5.14.0", "6.1"}) {
    attempt one;
    one.run(version(name),
            [](inode* node) { truncate_inode_pages_range(node->i_mapping, kPage, 3 * kPage - 1); });
    EXPECT_EQ(one.found, "");
    EXPECT_EQ(one.before, "0:r1L 1:- 2:- 3:r1L 4:r1L 5:r1L 6:r1L 7:r1L");
    EXPECT_EQ(one.result, SCAN_SUCCEED) << scan_result_name(one.result);
    EXPECT_EQ(one.after, kHuge);
    EXPECT_EQ(one.got, pattern(8));
  }
}

TEST(CollapseOld, TruncateAndInvalidateEraseAllSlotsOfTheHugePage) {
  for (const unsigned xa_slots : {2, 4, 8, 64}) {
    for (const char* name : {"5.14.0", "5.15.4", "6.1"}) {
      for (const bool truncate : {true, false}) {
        SCOPED_TRACE(std::string(name) + ", " + std::to_string(xa_slots) + " slots");
        attempt one;
        std::string left;
        one.run(version(name, xa_slots), {}, [&](inode* node) {
          if (truncate)
            truncate_inode_pages_range(node->i_mapping, 0, 4 * kPage - 1);
          else
            invalidate_inode_pages2_range(node->i_mapping, 0, 3);
          const interleaf::HeapScope heap;
          left = cache(node, 0, 8);
        });
        EXPECT_EQ(left, "0:- 1:- 2:- 3:- 4:r1L 5:r1L 6:r1L 7:r1L");
        EXPECT_EQ(one.found, "");
        EXPECT_EQ(one.wrong, "");
        EXPECT_EQ(one.got, pattern(8));
      }
    }
  }
}

/* I9 and I10 at the end: every slot and every count as they were. */
void expect_failure(scan_result wanted, const attempt::Spoil& spoil, const attempt::Spoil& repair,
                    const std::string& after = "") {
  for (const unsigned xa_slots : {2, 4, 64}) {
    for (const char* name : {"5.14.0", "5.15.4", "6.1"}) {
      SCOPED_TRACE(std::string(name) + ", " + std::to_string(xa_slots) + " slots");
      attempt one;
      one.run(version(name, xa_slots), spoil, repair);
      EXPECT_EQ(one.found, "");
      EXPECT_EQ(scan_result_name(one.result), std::string_view(scan_result_name(wanted)));
      EXPECT_EQ(one.after, after.empty() ? one.before : after);
      EXPECT_EQ(one.nr_thps, 0);
      EXPECT_EQ(one.nrpages, 8u);
      EXPECT_EQ(one.wrong, "");
    }
  }
}

folio* cached_folio(inode* node, pgoff_t index) {
  return static_cast<folio*>(xa_peek(&node->i_data.i_pages, index).entry);
}

TEST(CollapseOld, RollsBackBeforeADirtyPage) {
  expect_failure(
      SCAN_FAIL, [](inode* node) { write_pages(node, 3, "x"); }, {},
      "0:r1L 1:r1L 2:r1L 3:r1LWw 4:r1L 5:r1L 6:r1L 7:r1L");
}

TEST(CollapseOld, RollsBackBeforeALockedPage) {
  expect_failure(
      SCAN_PAGE_LOCK, [](inode* node) { folio_lock(cached_folio(node, 2)); },
      [](inode* node) { folio_unlock(cached_folio(node, 2)); });
}

TEST(CollapseOld, RollsBackBeforeAPageThatSomebodyHolds) {
  expect_failure(
      SCAN_PAGE_COUNT, [](inode* node) { folio_get(cached_folio(node, 3)); },
      [](inode* node) { folio_put(cached_folio(node, 3)); });
}

TEST(CollapseOld, RollsBackBeforeAPageThatIsOffTheLru) {
  expect_failure(
      SCAN_DEL_PAGE_LRU, [](inode* node) { folio_isolate_lru(cached_folio(node, 1)); },
      [](inode* node) { folio_putback_lru(cached_folio(node, 1)); });
}

TEST(CollapseOld, RollsBackBeforeAPageThatIsNotUptodate) {
  expect_failure(
      SCAN_FAIL, [](inode* node) { folio_clear_uptodate(cached_folio(node, 3)); },
      [](inode* node) { folio_set_uptodate(cached_folio(node, 3)); });
}

TEST(CollapseOld, RollsBackWhenAWriterIsThere) {
  expect_failure(
      SCAN_FAIL, [](inode* node) { get_write_access(node); },
      [](inode* node) { put_write_access(node); });
}

TEST(CollapseOld, LeavesAHugePageAlone) {
  for (const char* name : {"5.14.0", "5.15.4", "6.1"}) {
    attempt one;
    scan_result again = SCAN_SUCCEED;
    one.run(version(name), {}, [&](inode* node) {
      file* f = do_open(node, O_RDONLY);
      collapse_control cc{.is_khugepaged = true};
      again = collapse_file(nullptr, 0, f, 0, &cc);
      filp_close(f);
    });
    EXPECT_EQ(one.found, "");
    EXPECT_EQ(again,
              std::string_view(name) == "6.1" ? SCAN_PTE_MAPPED_HUGEPAGE : SCAN_PAGE_COMPOUND)
        << name;
    EXPECT_EQ(one.got, pattern(8));
  }
}

TEST(CollapseOld, DenyWriteRefusesAFileThatIsBeingWrittenAndLetsGoAfterwards) {
  for (const char* name : {"5.14.0", "6.1", "6.12"}) {
    harness_options options = version(name);
    options.with = patch_bit(Patch::kCollapseDenyWrite);
    attempt written;
    written.run(
        options, [](inode* node) { get_write_access(node); },
        [](inode* node) { put_write_access(node); });
    EXPECT_EQ(written.result, SCAN_FAIL);
    EXPECT_EQ(written.after, kSmall);
    attempt one;
    int writers = -1;
    one.run(options, {}, [&](inode* node) { writers = node->i_writecount.peek(); });
    EXPECT_EQ(one.result, SCAN_SUCCEED);
    EXPECT_EQ(writers, 0);
  }
}

/* Writeback holds no reference, and without private data nothing tells. */
TEST(CollapseOld, FreesAPageUnderWritebackUnlessItLooks) {
  const auto start_writeback = [](inode* node) {
    folio* f = cached_folio(node, 1);
    folio_lock(f);
    folio_start_writeback(f);
    folio_unlock(f);
  };
  attempt old;
  old.run(version("5.14.0"), start_writeback);
  EXPECT_NE(old.found.find("PG_writeback"), std::string::npos) << old.found;
  for (const char* name : {"5.15.4", "6.1"}) {
    attempt one;
    one.run(version(name), start_writeback,
            [](inode* node) { folio_end_writeback(cached_folio(node, 1)); });
    EXPECT_EQ(one.found, "");
    EXPECT_EQ(one.result, SCAN_FAIL);
    EXPECT_EQ(one.after, "0:r1L 1:r1LWw 2:r1L 3:r1L 4:r1L 5:r1L 6:r1L 7:r1L");
  }
}

}  // namespace
}  // namespace kernel
