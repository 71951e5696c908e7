// SPDX-License-Identifier: GPL-2.0-only
// What takes mappings away: zapping, the reverse mapping, huge entries. Every test ends with the
// whole machine unmapped and all counts back where they began.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

#include "tests/mm_machine.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace kernel {
namespace {

/* ---- zapping ---- */

TEST(Zap, MovesDirtFromTheEntryToTheFolio) {
  machine_of_test test(1, {.persona_name = "generic"});
  std::string seen;
  seen.reserve(32);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    store(mm, at, 'x');
    /* As if writeback had cleaned the folio and the CPU had stored since. */
    cached(0)->flags.poke(PG_dirty, false);
    seen = is_dirty(0) ? "D" : "-";
    do_madvise(mm, at, kPage, MADV_DONTNEED);
    seen += is_dirty(0) ? "D" : "-";
    seen += show(mm, at);
    seen += load(mm, at);
    filp_close(f);
  });
  EXPECT_EQ(seen, "-D-x");
}

TEST(UnmapMappingRange, SparesPrivateCopiesUnlessToldOtherwise) {
  machine_of_test test(3);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 3, kRW, MAP_PRIVATE);
    store(mm, at, 'x');
    load(mm, at + kPage);
    load(mm, at + 2 * kPage);
    unmap_mapping_range(mapping_of("f"), 0, 2 * kPage, false);
    for (unsigned page = 0; page < 3; ++page) seen += show(mm, at + page * kPage) + " ";
    seen += load(mm, at);
    unmap_mapping_range(mapping_of("f"), 0, 0, true);
    for (unsigned page = 0; page < 3; ++page) seen += " " + show(mm, at + page * kPage);
    seen += load(mm, at);
    filp_close(f);
  });
  EXPECT_EQ(seen, "PWDY - py x - - -a");
}

TEST(Truncate, UnmapsWhatLiesBehindTheEnd) {
  machine_of_test test(3);
  std::string seen;
  seen.reserve(16);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 3, kRW, MAP_SHARED);
    for (unsigned page = 0; page < 3; ++page) seen += store(mm, at + page * kPage, 'x');
    do_ftruncate(f, kPage);
    for (unsigned page = 0; page < 3; ++page) seen += load(mm, at + page * kPage);
    filp_close(f);
  });
  EXPECT_EQ(seen, "xxxx!!");
}

/* ---- the reverse mapping ---- */

TEST(Mkclean, MakesTheNextStoreFault) {
  machine_of_test test(1);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    store(mm, at, 'x');
    BUG_ON(do_msync(mm, at, kPage, MS_SYNC) != 0);
    seen = show(mm, at) + (is_dirty(0) ? "D " : "- ");
    store(mm, at, 'y');
    seen += show(mm, at) + (is_dirty(0) ? "D " : "- ");
    folio* fo = cached(0);
    folio_lock(fo);
    seen += std::to_string(folio_mkclean(fo));
    seen += std::to_string(folio_mkclean(fo));
    folio_unlock(fo);
    filp_close(f);
  });
  EXPECT_EQ(seen, "py- pwdyD 10");
}

TEST(TryToUnmap, TakesTheFolioOutOfEveryTable) {
  machine_of_test test(2);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t one = map(mm, f, 2, kRW, MAP_SHARED);
    const std::uint64_t two = map(mm, f, 2, kRW, MAP_PRIVATE);
    store(mm, one, 'x');
    load(mm, one + kPage);
    load(mm, two);
    folio* fo = cached(0);
    seen = std::to_string(fo->_mapcount.peek());
    fo->flags.poke(PG_dirty, false);
    folio_lock(fo);
    try_to_unmap(fo, TTU_IGNORE_MLOCK | TTU_BATCH_FLUSH);
    folio_unlock(fo);
    seen += std::to_string(fo->_mapcount.peek()) + (is_dirty(0) ? "D " : "- ");
    seen += show(mm, one) + " " + show(mm, one + kPage) + " " + show(mm, two);
    filp_close(f);
  });
  EXPECT_EQ(seen, "20D - py -");
}

/* ---- huge entries ---- */

TEST(HugeEntry, MapsAWholeFolioAndIsDroppedWhenHalfOfItGoes) {
  for (const unsigned around : {1u, 4u}) {
    harness_options options{.persona_name = "xfs"};
    options.geo.fault_around_pages = around;
    machine_of_test test(4, options);
    std::string seen;
    seen.reserve(64);
    run_alone(test, [&seen](mm_struct* mm) {
      folio* huge = add_huge_folio();
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(mm, f, 4, kRW, MAP_SHARED);
      seen += load(mm, at + 2 * kPage);
      BUG_ON(pmd_offset(mm, at)->peek().huge != huge);
      BUG_ON(huge->_mapcount.peek() != 1);
      seen += load(mm, at + 3 * kPage);
      /* A store goes page by page and dirties the folio. */
      seen += store(mm, at + kPage, 'x');
      BUG_ON(pmd_trans_huge(pmd_offset(mm, at)->peek()) &&
             (pmd_offset(mm, at)->peek().bits & PTE_DIRTY) == 0);
      BUG_ON(!is_dirty(0));
      seen += load(mm, at);
      seen += read_byte(f, kPage);
      BUG_ON(do_munmap(mm, at + 2 * kPage, 2 * kPage) != 0);
      BUG_ON(pmd_trans_huge(pmd_offset(mm, at)->peek()));
      seen += load(mm, at + kPage);
      seen += load(mm, at + 2 * kPage);
      filp_close(f);
    });
    EXPECT_EQ(seen, "CDxAxx?") << around;
  }
}

/* As after a store by a filesystem that is not told: only the entry knows. */
bool dirt_survives_munmap(patch_set with) {
  machine_of_test test(4, {.persona_name = "xfs", .with = with});
  bool dirty = false;
  run_alone(test, [&dirty](mm_struct* mm) {
    folio* huge = add_huge_folio();
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 4, kRW, MAP_SHARED);
    load(mm, at);
    TableEntry<pmd_t>* entry = pmd_offset(mm, at);
    pmd_t pmd = entry->peek();
    BUG_ON(pmd.huge != huge);
    pmd.bits |= PTE_DIRTY | PTE_WRITE;
    entry->poke(pmd);
    BUG_ON(do_munmap(mm, at, 4 * kPage) != 0);
    dirty = is_dirty(0);
    filp_close(f);
  });
  return dirty;
}

TEST(HugeEntry, GivesItsDirtToTheFolioSince6_12_114) {
  EXPECT_FALSE(dirt_survives_munmap(0));
  EXPECT_TRUE(dirt_survives_munmap(patch_bit(Patch::kZapKeepsPmdDirt)));
}

TEST(HugeEntry, GivesWayToAPrivateCopy) {
  machine_of_test test(4, {.persona_name = "xfs"});
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    folio* huge = add_huge_folio();
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 4, kRW, MAP_PRIVATE);
    seen += load(mm, at);
    seen += store(mm, at + kPage, 'x');
    seen += load(mm, at + kPage);
    seen += load(mm, at + 2 * kPage);
    seen += read_byte(f, kPage);
    BUG_ON(huge->flags.peek(PG_dirty));
    filp_close(f);
  });
  EXPECT_EQ(seen, "AxxCB");
}

TEST(Madvise, CollapsedRangeIsMappedByOneEntry) {
  machine_of_test test(4);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 4, PROT_READ, MAP_PRIVATE);
    filp_close(f);
    for (unsigned page = 0; page < 4; ++page) load(mm, at + page * kPage);
    seen = std::to_string(do_madvise(mm, at, 4 * kPage, MADV_COLLAPSE)) + " ";
    seen += pmd_trans_huge(pmd_offset(mm, at)->peek()) ? "huge " : "small ";
    for (unsigned page = 0; page < 4; ++page) seen += load(mm, at + page * kPage);
    seen += " " + std::to_string(do_madvise(mm, at, kPage, 4711) == -EINVAL);
    seen += std::to_string(do_madvise(mm, at, 8 * kPage, MADV_DONTNEED) == -ENOMEM);
    unmap_mapping_range(mapping_of("f"), 0, 0, false);
    seen += pmd_none(pmd_offset(mm, at)->peek()) ? " none" : " some";
  });
  EXPECT_EQ(seen, "0 huge abcd 11 none");
}

}  // namespace
}  // namespace kernel
