// SPDX-License-Identifier: GPL-2.0-only
// Batches of the page cache: what each walk finds among small and large folios, and that deletion
// of a batch accounts for every folio.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/kernel/writeback.h"
#include "tests/page_cache_checks.h"

namespace kernel {
namespace {

/* Small folios at 0, 1, 2, 8 and 9, a large one over 4 to 7. */
void add_mixture(address_space* mapping) {
  for (const pgoff_t index : {0, 1, 2}) add_folio(mapping, index);
  add_folio(mapping, 4, 2);
  for (const pgoff_t index : {8, 9}) add_folio(mapping, index);
}

/* "index of the slot : first index of the folio", and where the walk would go on. */
void render(char* to, const folio_batch& fbatch, const pgoff_t* indices, pgoff_t start) {
  for (unsigned i = 0; i < fbatch.nr; ++i) {
    *to++ = static_cast<char>('0' + indices[i]);
    *to++ = ':';
    *to++ = static_cast<char>('0' + fbatch.folios[i]->index.peek());
    *to++ = ' ';
  }
  *to++ = '>';
  *to++ = static_cast<char>('0' + std::min<pgoff_t>(start, 30));
  *to = 0;
}

TEST(Filemap, BatchesMeetLargeFolioOnce) {
  char text[8][80] = {};
  kernel_harness harness;
  harness.file("f", "");
  harness.task("walker", [&text] {
    address_space* mapping = mapping_of("f");
    folio_batch fbatch;
    pgoff_t indices[folio_batch::kMax];

    add_mixture(mapping);
    pgoff_t start = 0;
    for (unsigned i = 0; i < 2; ++i) {
      folio_batch_init(&fbatch);
      find_get_entries(mapping, &start, ~pgoff_t{0}, &fbatch, indices);
      render(text[i], fbatch, indices, start);
      folio_batch_release(&fbatch);
    }
    /* From within the large folio: a lookup sees it, truncate's first pass must not. */
    start = 5;
    folio_batch_init(&fbatch);
    find_get_entries(mapping, &start, 8, &fbatch, indices);
    render(text[2], fbatch, indices, start);
    folio_batch_release(&fbatch);

    start = 5;
    find_lock_entries(mapping, &start, ~pgoff_t{0}, &fbatch, indices);
    render(text[3], fbatch, indices, start);
    for (unsigned i = 0; i < fbatch.nr; ++i) folio_unlock(fbatch.folios[i]);
    folio_batch_release(&fbatch);

    start = 2;
    find_lock_entries(mapping, &start, 6, &fbatch, indices);
    render(text[4], fbatch, indices, start);
    for (unsigned i = 0; i < fbatch.nr; ++i) folio_unlock(fbatch.folios[i]);
    folio_batch_release(&fbatch);

    start = 1;
    filemap_get_folios(mapping, &start, 6, &fbatch);
    for (unsigned i = 0; i < fbatch.nr; ++i) indices[i] = fbatch.folios[i]->index.peek();
    render(text[5], fbatch, indices, start);
    folio_batch_release(&fbatch);

    /* Contiguous from 6 on: the large one and the two behind it. */
    filemap_get_read_batch(mapping, 6, 9, &fbatch);
    for (unsigned i = 0; i < fbatch.nr; ++i) indices[i] = fbatch.folios[i]->index.peek();
    render(text[6], fbatch, indices, 0);
    folio_batch_release(&fbatch);
    /* And up to the hole. */
    filemap_get_read_batch(mapping, 1, 9, &fbatch);
    for (unsigned i = 0; i < fbatch.nr; ++i) indices[i] = fbatch.folios[i]->index.peek();
    render(text[7], fbatch, indices, 0);
    folio_batch_release(&fbatch);
  });
  for_seeds(harness, [&](unsigned) {
    EXPECT_STREQ(text[0], "0:0 1:1 2:2 4:4 >8");
    EXPECT_STREQ(text[1], "8:8 9:9 >:");
    EXPECT_STREQ(text[2], "5:4 8:8 >9");
    EXPECT_STREQ(text[3], "8:8 9:9 >:");
    EXPECT_STREQ(text[4], "2:2 >3");
    EXPECT_STREQ(text[5], "1:1 2:2 4:4 >7");
    EXPECT_STREQ(text[6], "4:4 8:8 9:9 >0");
    EXPECT_STREQ(text[7], "1:1 2:2 >0");
  });
}

TEST(Filemap, TaggedBatchFindsMarkedFoliosOnly) {
  char text[80] = {};
  kernel_harness harness({.persona_name = "generic"});
  harness.file("f", letters(10));
  harness.task("walker", [&text] {
    address_space* mapping = mapping_of("f");
    add_mixture(mapping);
    for (const pgoff_t index : {1, 6, 9}) {
      folio* f = filemap_lock_folio(mapping, index);
      folio_mark_dirty(f);
      folio_unlock(f);
      folio_put(f);
    }
    folio_batch fbatch;
    pgoff_t indices[folio_batch::kMax];
    pgoff_t start = 0;
    filemap_get_folios_tag(mapping, &start, ~pgoff_t{0}, PAGECACHE_TAG_DIRTY, &fbatch);
    for (unsigned i = 0; i < fbatch.nr; ++i) indices[i] = fbatch.folios[i]->index.peek();
    render(text, fbatch, indices, start);
    folio_batch_release(&fbatch);
  });
  for_seeds(harness, [&](unsigned) { EXPECT_STREQ(text, "1:1 4:4 9:9 >N"); });
}

/*
 * Takes everything out as truncate does: what can be locked at once in batches, then waits for the
 * rest. Returns the passes it took.
 */
unsigned delete_all(address_space* mapping) {
  unsigned passes = 0;
  for (; !xa_empty(&mapping->i_pages); ++passes) {
    folio_batch fbatch;
    pgoff_t indices[folio_batch::kMax];
    pgoff_t start = 0;
    if (find_lock_entries(mapping, &start, ~pgoff_t{0}, &fbatch, indices) != 0) {
      delete_from_page_cache_batch(mapping, &fbatch);
      for (unsigned i = 0; i < fbatch.nr; ++i) {
        BUG_ON(fbatch.folios[i]->mapping.peek() != nullptr);
        folio_unlock(fbatch.folios[i]);
      }
    } else if (find_get_entries(mapping, &start, ~pgoff_t{0}, &fbatch, indices) != 0) {
      folio_wait_locked(fbatch.folios[0]);
    }
    folio_batch_release(&fbatch);
  }
  return passes;
}

TEST(Filemap, BatchDeletionAccountsEveryFolio) {
  struct {
    unsigned one_pass, more;
  } seen{};
  kernel_harness harness({.geo = [] {
    geometry geo = small_geometry();
    geo.folio_batch = 8;
    return geo;
  }()});
  harness.file("f", "");
  harness.setup([] {
    add_mixture(mapping_of("f"));
    filemap_nr_thps_inc(mapping_of("f"));
  });
  for (const char* name : {"deleter1", "deleter2"}) {
    harness.task(name, [&seen] {
      const unsigned passes = delete_all(mapping_of("f"));
      seen.one_pass += passes == 1;
      seen.more += passes > 1;
    });
  }
  harness.task("locker", [] {
    address_space* mapping = mapping_of("f");
    for (const pgoff_t index : {5, 1}) {
      folio* f = filemap_lock_folio(mapping, index);
      if (IS_ERR(f)) continue;
      BUG_ON(f->mapping.load() != mapping);
      folio_unlock(f);
      folio_put(f);
    }
  });
  for_seeds(harness, [&](unsigned) {
    harness.inspect([] {
      EXPECT_EQ(cached("f", 16), "nrpages=0");
      EXPECT_EQ(this_machine().stat.nr_file_pages.peek(), 0);
      EXPECT_EQ(this_machine().stat.nr_file_thps.peek(), 0);
      EXPECT_EQ(mapping_of("f")->nr_thps.peek(), 0);
    });
  });
  EXPECT_GT(seen.one_pass, 0u);
  EXPECT_GT(seen.more, 0u);
}

TEST(Filemap, LockedBatchHoldsNoTruncatedFolio) {
  unsigned locked = 0;
  kernel_harness harness;
  harness.file("f", "");
  harness.task("owner", add_and_remove);
  harness.task("locker", [&locked] {
    address_space* mapping = mapping_of("f");
    for (unsigned turn = 0; turn < 10; ++turn) {
      folio_batch fbatch;
      pgoff_t indices[folio_batch::kMax];
      pgoff_t start = 0;
      locked += find_lock_entries(mapping, &start, 8, &fbatch, indices);
      for (unsigned i = 0; i < fbatch.nr; ++i) {
        BUG_ON(fbatch.folios[i]->mapping.load() != mapping);
        folio_unlock(fbatch.folios[i]);
      }
      folio_batch_release(&fbatch);
    }
  });
  for_seeds(harness, [](unsigned) {});
  EXPECT_GT(locked, 0u);
}

TEST(Filemap, RemovalOfDirtyFolioWarns) {
  kernel_harness harness({.persona_name = "generic"});
  harness.file("f", letters(2));
  harness.task("remover", [] {
    address_space* mapping = mapping_of("f");
    add_folio(mapping, 1);
    folio* f = filemap_lock_folio(mapping, 1);
    folio_mark_dirty(f);
    filemap_remove_folio(f);
    folio_unlock(f);
    folio_put(f);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  ASSERT_FALSE(result.clean());
  EXPECT_EQ(result.findings[0].kind, interleaf::FindingKind::kKernelWarning);
  harness.inspect([] { EXPECT_EQ(this_machine().stat.nr_file_dirty.peek(), 0); });
}

}  // namespace
}  // namespace kernel
