// SPDX-License-Identifier: GPL-2.0-only
// The page cache by itself: insertion, and lookups that race with removal. Every property is held
// against a few hundred random schedules; a test of a race also fails if no schedule reached the
// racy window.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "tests/page_cache_checks.h"

namespace kernel {
namespace {

TEST(Filemap, SecondInsertionAtAnIndexFails) {
  kernel_harness harness;
  harness.file("f", "");
  std::array<int, 2> errors{};
  for (unsigned who = 0; who < 2; ++who) {
    harness.task("adder" + std::to_string(who), [&errors, who] {
      folio* f = folio_alloc(0);
      errors[who] = filemap_add_folio(mapping_of("f"), f, 3, 0);
      if (errors[who] == 0) {
        folio_unlock(f);
      } else {
        BUG_ON(f->lock.peek_locked());
        BUG_ON(f->mapping.peek() != nullptr);
        BUG_ON(folio_ref_count(f) != 1);
      }
      folio_put(f);
    });
  }
  unsigned first_won = 0;
  for_seeds(harness, [&](unsigned) {
    EXPECT_EQ(std::min(errors[0], errors[1]), -EEXIST);
    EXPECT_EQ(std::max(errors[0], errors[1]), 0);
    first_won += errors[0] == 0;
    harness.inspect([] {
      EXPECT_EQ(cached("f", 8), "3! nrpages=1");
      EXPECT_EQ(this_machine().stat.nr_file_pages.peek(), 1);
    });
  });
  EXPECT_GT(first_won, 0u);
  EXPECT_LT(first_won, kSeeds);
}

TEST(Filemap, LargeFolioDoesNotFitOverSmallOne) {
  kernel_harness harness;
  harness.file("f", "");
  harness.task("adder", [] {
    address_space* mapping = mapping_of("f");
    add_folio(mapping, 6);
    folio* large = folio_alloc(2);
    BUG_ON(filemap_add_folio(mapping, large, 4, 0) != -EEXIST);
    BUG_ON(folio_ref_count(large) != 1);
    BUG_ON(filemap_add_folio(mapping, large, 8, 0) != 0);
    BUG_ON(folio_ref_count(large) < 5);
    folio_unlock(large);
    folio_put(large);
  });
  for_seeds(harness, [&](unsigned) {
    harness.inspect([] {
      EXPECT_EQ(cached("f", 16), "6 8L! nrpages=5");
      EXPECT_EQ(this_machine().stat.nr_file_thps.peek(), 4);
    });
  });
}

TEST(Filemap, InsertionReplacesShadowAndReportsIt) {
  kernel_harness harness;
  harness.file("f", "");
  harness.task("adder", [] {
    address_space* mapping = mapping_of("f");
    add_folio(mapping, 2);
    folio* old = filemap_lock_folio(mapping, 2);
    mapping->i_pages.xa_lock.lock();
    __filemap_remove_folio(old, xa_mk_value(77));
    mapping->i_pages.xa_lock.unlock();
    filemap_free_folio(mapping, old);
    folio_unlock(old);
    folio_put(old);
    BUG_ON(PTR_ERR(filemap_get_folio(mapping, 2)) != -ENOENT);
    BUG_ON(filemap_get_entry(mapping, 2) != xa_mk_value(77));

    folio* f = folio_alloc(0);
    void* shadow = nullptr;
    folio_lock(f);
    BUG_ON(__filemap_add_folio(mapping, f, 2, 0, &shadow) != 0);
    BUG_ON(shadow != xa_mk_value(77));
    folio_unlock(f);
    folio_put(f);
  });
  for_seeds(harness,
            [&](unsigned) { harness.inspect([] { EXPECT_EQ(cached("f", 4), "2! nrpages=1"); }); });
}

TEST(Filemap, LookupNeverReturnsFolioOfAnotherIndex) {
  struct {
    unsigned found, absent, truncated, replaced;
  } seen{};
  kernel_harness harness;
  harness.file("f", "");
  harness.task("owner", [] {
    address_space* mapping = mapping_of("f");
    for (unsigned turn = 0; turn < 3; ++turn) {
      add_folio(mapping, 1);
      remove_folio(mapping, 1);
    }
    add_folio(mapping, 1);
  });
  harness.task("looker", [&seen] {
    address_space* mapping = mapping_of("f");
    const folio* last = nullptr;
    for (unsigned turn = 0; turn < 4; ++turn) {
      folio* f = filemap_get_folio(mapping, 1);
      if (IS_ERR(f)) {
        BUG_ON(PTR_ERR(f) != -ENOENT);
        ++seen.absent;
        continue;
      }
      folio_lock(f);
      BUG_ON(f->index.load() != 1);
      if (f->mapping.load() == mapping)
        ++seen.found;
      else
        ++seen.truncated;
      folio_unlock(f);
      seen.replaced += last != nullptr && last != f;
      last = f;
      folio_put(f);
    }
  });
  harness.task("locker", [] {
    address_space* mapping = mapping_of("f");
    for (unsigned turn = 0; turn < 3; ++turn) {
      folio* f = filemap_lock_folio(mapping, 1);
      if (IS_ERR(f)) continue;
      BUG_ON(f->mapping.load() != mapping);
      folio_unlock(f);
      folio_put(f);
    }
  });
  for_seeds(harness,
            [&](unsigned) { harness.inspect([] { EXPECT_EQ(cached("f", 4), "1 nrpages=1"); }); });
  EXPECT_GT(seen.found, 0u);
  EXPECT_GT(seen.absent, 0u);
  EXPECT_GT(seen.truncated, 0u);
  EXPECT_GT(seen.replaced, 0u);
}

/*
 * Counts lookups that took a reference and put it again, since the slot had changed meanwhile, and
 * those that met a frozen folio.
 */
class lookup_counter final : public interleaf::Observer {
 public:
  explicit lookup_counter(std::string_view lookup) : lookup_(lookup) {}

  void event(const interleaf::Scheduler&, const interleaf::Task& task,
             const interleaf::Access& access) override {
    if (task.function() == nullptr || task.function()->name != lookup_) return;
    std::uint32_t& last = last_[task.id];
    if (access.op == interleaf::Op::kRelax) {
      last = 0;
      ++waits;
    }
    if (access.op != interleaf::Op::kReadModifyWrite) return;
    puts += access.object == last;
    last = access.object;
  }
  void enter(const interleaf::Scheduler&, const interleaf::Task& task,
             const interleaf::Function&) override {
    last_[task.id] = 0;
  }
  void leave(const interleaf::Scheduler&, const interleaf::Task&,
             const interleaf::Function&) override {}
  void remark(const interleaf::Scheduler&, const interleaf::Task&, std::string_view) override {}
  unsigned puts = 0;
  unsigned waits = 0;

 private:
  std::string_view lookup_;
  /* The reference count touched last by a task's lookup. */
  std::uint32_t last_[interleaf::kTasksMax] = {};
};

TEST(Filemap, LookupPutsFolioWhoseSlotChanged) {
  kernel_harness harness;
  harness.file("f", "");
  harness.task("owner", add_and_remove);
  harness.task("looker", [] {
    for (unsigned turn = 0; turn < 6; ++turn) {
      folio* f = filemap_get_folio(mapping_of("f"), 1);
      if (!IS_ERR(f)) folio_put(f);
    }
  });
  lookup_counter counter("filemap_get_entry");
  for_seeds(
      harness, [&](unsigned) { harness.inspect([] { EXPECT_EQ(cached("f", 4), "nrpages=0"); }); },
      &counter);
  EXPECT_GT(counter.puts, 0u);
}

TEST(Filemap, BatchLookupPutsFolioWhoseSlotChanged) {
  kernel_harness harness;
  harness.file("f", "");
  harness.task("owner", add_and_remove);
  harness.task("looker", [] {
    for (unsigned turn = 0; turn < 6; ++turn) {
      folio_batch fbatch;
      pgoff_t indices[folio_batch::kMax];
      pgoff_t start = 0;
      find_get_entries(mapping_of("f"), &start, 8, &fbatch, indices);
      folio_batch_release(&fbatch);
    }
  });
  lookup_counter counter("find_get_entries");
  for_seeds(
      harness, [&](unsigned) { harness.inspect([] { EXPECT_EQ(cached("f", 4), "nrpages=0"); }); },
      &counter);
  EXPECT_GT(counter.puts, 0u);
}

TEST(Filemap, LookupWaitsForFrozenFolio) {
  kernel_harness harness;
  harness.file("f", "");
  harness.setup([] {
    add_folio(mapping_of("f"), 0);
    lru_add_drain();
  });
  harness.task("freezer", [] {
    for (unsigned turn = 0; turn < 4; ++turn) {
      folio* f = filemap_lock_folio(mapping_of("f"), 0);
      /* The cache's reference and ours, unless the looker has one. */
      if (folio_ref_freeze(f, 2)) {
        folio_test_dirty(f);
        folio_ref_unfreeze(f, 2);
      }
      folio_unlock(f);
      folio_put(f);
    }
  });
  harness.task("looker", [] {
    for (unsigned turn = 0; turn < 4; ++turn) {
      folio* f = filemap_get_folio(mapping_of("f"), 0);
      BUG_ON(IS_ERR(f));
      folio_put(f);
    }
  });
  lookup_counter counter("filemap_get_entry");
  for_seeds(
      harness, [&](unsigned) { harness.inspect([] { EXPECT_EQ(cached("f", 4), "0 nrpages=1"); }); },
      &counter);
  EXPECT_GT(counter.waits, 0u);
}

TEST(Filemap, FindOrCreateGivesOneFolioToAll) {
  std::array<const folio*, 3> got{};
  kernel_harness harness;
  harness.file("f", "");
  for (unsigned who = 0; who < 3; ++who) {
    harness.task("task" + std::to_string(who), [&got, who] {
      folio* f = __filemap_get_folio(mapping_of("f"), 5, FGP_WRITEBEGIN);
      BUG_ON(IS_ERR(f));
      BUG_ON(!f->lock.held_by_me());
      got[who] = f;
      folio_unlock(f);
      folio_put(f);
    });
  }
  for_seeds(harness, [&](unsigned) {
    EXPECT_EQ(got[0], got[1]);
    EXPECT_EQ(got[0], got[2]);
    harness.inspect([] { EXPECT_EQ(cached("f", 8), "5! nrpages=1"); });
  });
}

}  // namespace
}  // namespace kernel
