// SPDX-License-Identifier: GPL-2.0-only
// get_user_pages and pin_user_pages: which references they take, what they fault in, and the race
// of the part without locks against unmapping.
#include "engine/kernel/gup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

#include "engine/kernel/writeback.h"
#include "tests/mm_machine.h"
#include "tests/sticky_random.h"

namespace kernel {
namespace {

int references(const folio* f) { return f->_refcount.peek(); }

TEST(Gup, GetTakesOneReferenceAndPinTheBias) {
  machine_of_test test(1);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    store(mm, at, 'x');
    const int before = references(cached(0));
    gup_page page{};
    BUG_ON(get_user_pages_fast(mm, at + 17, 1, FOLL_WRITE, &page) != 1);
    BUG_ON(page.f != cached(0) || page.page != 0);
    BUG_ON(references(cached(0)) != before + 1 || folio_maybe_dma_pinned(cached(0)));
    put_user_pages(&page, 1);
    BUG_ON(pin_user_pages_fast(mm, at, 1, FOLL_WRITE, &page) != 1);
    BUG_ON(references(cached(0)) != before + GUP_PIN_COUNTING_BIAS);
    BUG_ON(!folio_maybe_dma_pinned(cached(0)));
    folio_add_pin(page.f);
    unpin_user_pages(&page, 1);
    BUG_ON(!folio_maybe_dma_pinned(cached(0)));
    unpin_user_page(page);
    BUG_ON(references(cached(0)) != before || folio_maybe_dma_pinned(cached(0)));
    seen = load(mm, at);
    filp_close(f);
  });
  EXPECT_EQ(seen, "x");
}

/* The slow part does what a store does: ->page_mkwrite, an entry that is writable, a dirty folio.
 */
TEST(Gup, FaultsInAsAStoreWould) {
  for (const char* persona : {"ext4", "xfs", "btrfs", "generic"}) {
    for (const bool mapped_before : {false, true}) {
      machine_of_test test(3, {.persona_name = persona});
      std::string seen;
      seen.reserve(64);
      run_alone(test, [&](mm_struct* mm) {
        file* f = do_open(find_inode("f"), O_RDWR);
        const std::uint64_t at = map(mm, f, 3, kRW, MAP_SHARED);
        if (mapped_before)
          for (unsigned page = 0; page < 3; ++page) load(mm, at + page * kPage);
        gup_page pages[3] = {};
        BUG_ON(pin_user_pages_fast(mm, at, 3, FOLL_WRITE, pages) != 3);
        for (unsigned page = 0; page < 3; ++page) {
          BUG_ON(pages[page].f != cached(page) || !folio_maybe_dma_pinned(pages[page].f));
          seen += show(mm, at + page * kPage) + (is_dirty(page) ? "D " : "- ");
        }
        unpin_user_pages(pages, 3);
        filp_close(f);
      });
      EXPECT_EQ(seen, "pwdyD pwdyD pwdyD ") << persona << mapped_before;
    }
  }
}

TEST(Gup, OnlyReadsWithoutFollWrite) {
  machine_of_test test(1);
  std::string seen;
  seen.reserve(16);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    gup_page page{};
    BUG_ON(get_user_pages_fast(mm, at, 1, 0, &page) != 1);
    seen = show(mm, at) + (is_dirty(0) ? "D" : "-");
    put_user_pages(&page, 1);
    filp_close(f);
  });
  EXPECT_EQ(seen, "py-");
}

/* A write to a private mapping is one to the process's copy. */
TEST(Gup, TakesTheCopyOfAPrivateMapping) {
  machine_of_test test(1);
  std::string seen;
  seen.reserve(16);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_PRIVATE);
    gup_page page{};
    BUG_ON(pin_user_pages_fast(mm, at, 1, FOLL_WRITE, &page) != 1);
    BUG_ON(page.f == cached(0));
    folio_write_contents(page.f, 0, "z", 1);
    unpin_user_page(page);
    seen = load(mm, at);
    seen += read_byte(f, 0);
    filp_close(f);
  });
  EXPECT_EQ(seen, "za");
}

TEST(Gup, RefusesWhatTheProcessCannotAccess) {
  machine_of_test test(2);
  long results[5] = {};
  run_alone(test, [&results](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    gup_page pages[4] = {};
    const std::uint64_t read_only = map(mm, f, 1, PROT_READ, MAP_SHARED);
    const std::uint64_t at = map(mm, f, 4, kRW, MAP_SHARED);
    results[0] = pin_user_pages_fast(mm, read_only, 1, FOLL_WRITE, pages);
    results[1] = pin_user_pages_fast(mm, at + 32 * kPage, 1, 0, pages);
    results[2] = pin_user_pages_fast(mm, ~std::uint64_t{0xffff}, 1, 0, pages);
    results[3] = pin_user_pages_fast(mm, at + 3 * kPage, 1, FOLL_WRITE, pages); /* behind the end */
    results[4] = pin_user_pages_fast(mm, at, 4, FOLL_WRITE, pages);
    unpin_user_pages(pages, 2);
    filp_close(f);
  });
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(results[i], -EFAULT) << i;
  EXPECT_EQ(results[4], 2);
}

TEST(Gup, CountsPinsOfALargeFolioExactly) {
  machine_of_test test(4, {.persona_name = "xfs"});
  run_alone(test, [](mm_struct* mm) {
    folio* huge = add_huge_folio();
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 4, kRW, MAP_SHARED);
    load(mm, at);
    BUG_ON(pmd_offset(mm, at)->peek().huge != huge);
    const int before = references(huge);
    gup_page pages[3] = {};
    BUG_ON(pin_user_pages_fast(mm, at + kPage, 3, 0, pages) != 3);
    BUG_ON(pages[0].f != huge || pages[0].page != 1 || pages[2].page != 3);
    BUG_ON(references(huge) != before + 3 || huge->_pincount.peek() != 3);
    BUG_ON(!folio_maybe_dma_pinned(huge));
    unpin_user_pages(pages, 3);
    BUG_ON(references(huge) != before || folio_maybe_dma_pinned(huge));
    /* Through entries: the huge one is split by the first store. */
    BUG_ON(pin_user_pages_fast(mm, at, 2, FOLL_WRITE, pages) != 2);
    BUG_ON(huge->_pincount.peek() != 2 || pages[1].f != huge || pages[1].page != 1);
    unpin_user_pages(pages, 2);
    BUG_ON(huge->_pincount.peek() != 0);
    filp_close(f);
  });
}

TEST(Gup, UnpinMakesOnlyCleanFoliosDirty) {
  machine_of_test test(1, {.persona_name = "generic"});
  std::string seen;
  seen.reserve(16);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    for (const bool make_dirty : {false, true}) {
      gup_page page{};
      BUG_ON(pin_user_pages_fast(mm, at, 1, FOLL_WRITE, &page) != 1);
      filemap_write_and_wait(f->f_mapping);
      seen += is_dirty(0) ? "D" : "-";
      unpin_user_pages_dirty_lock(&page, 1, make_dirty);
      seen += is_dirty(0) ? "D" : "-";
    }
    filp_close(f);
  });
  EXPECT_EQ(seen, "---D");
}

/*
 * What reclaim relies on: with the folio locked and unmapped, who sees no pin will see none. The
 * task that pins may be anywhere between its look at the entry and its second look.
 */
TEST(Gup, PinIsSeenOrNotTakenOnceTheFolioIsUnmapped) {
  constexpr unsigned kSeeds = 2000;
  for (const bool large : {false, true}) {
    machine_of_test test(4, {.persona_name = "xfs"});
    bool* pinned = nullptr; /* of this run */
    interleaf::StickyRandom sticky;
    unsigned seen = 0, unseen = 0, fast = 0;
    test.harness.setup([&pinned] { pinned = new bool(false); });
    test.harness.task("process", [&] {
      if (large) add_huge_folio();
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(test.mm, f, 4, kRW, MAP_SHARED);
      filp_close(f);
      load(test.mm, at);
      store(test.mm, at, 'x');
      *test.ready = true;
      gup_page page{};
      BUG_ON(pin_user_pages_fast(test.mm, at, 1, FOLL_WRITE, &page) != 1);
      *pinned = true;
      for (unsigned i = 0; i < 20; ++i) folio_test_private(page.f); /* points */
      *pinned = false;
      unpin_user_page(page);
      mmput(test.mm);
      lru_add_drain_all();
    });
    test.harness.task("reclaim", [&] {
      test.wait_until_ready();
      folio* f = filemap_get_folio(mapping_of("f"), 0);
      if (IS_ERR(f)) return;
      folio_lock(f);
      try_to_unmap(f, TTU_SPLIT_HUGE_PMD);
      const bool was_pinned = folio_maybe_dma_pinned(f);
      for (unsigned i = 0; i < 20; ++i) {
        BUG_ON(!was_pinned && *pinned);
        folio_test_private(f);
      }
      was_pinned ? seen++ : unseen++;
      fast += *pinned;
      folio_unlock(f);
      folio_put(f);
    });
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      const interleaf::RunResult& result = test.harness.run(sticky, seed);
      ASSERT_TRUE(result.clean()) << seed << "\n" << describe(result);
      ASSERT_EQ(result.end, interleaf::RunEnd::kFinished);
    }
    EXPECT_GT(seen, 20u);
    EXPECT_GT(unseen, 20u);
    EXPECT_GT(fast, 5u);
  }
}

}  // namespace
}  // namespace kernel
