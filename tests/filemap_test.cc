// SPDX-License-Identifier: GPL-2.0-only
// The page cache by itself: insertion, lookups that race with removal, batches. Every property is
// held against a few hundred random schedules; a test of a race also fails if no schedule reached
// the racy window.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "engine/kernel/writeback.h"
#include "tests/page_cache_checks.h"

namespace kernel
{
namespace
{

void remove_folio(address_space *mapping, pgoff_t index)
{
	folio *f = filemap_lock_folio(mapping, index);
	BUG_ON(IS_ERR(f));
	filemap_remove_folio(f);
	folio_unlock(f);
	folio_put(f);
}

// ---- insertion -----------------------------------------------------------------------------------

TEST(Filemap, SecondInsertionAtAnIndexFails)
{
	kernel_harness harness;
	harness.file("f", "");
	std::array<int, 2> errors{};
	for (unsigned who = 0; who < 2; ++who) {
		harness.task("adder" + std::to_string(who), [&errors, who] {
			folio *f = folio_alloc(0);
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

TEST(Filemap, LargeFolioDoesNotFitOverSmallOne)
{
	kernel_harness harness;
	harness.file("f", "");
	harness.task("adder", [] {
		address_space *mapping = mapping_of("f");
		add_folio(mapping, 6);
		folio *large = folio_alloc(2);
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

TEST(Filemap, InsertionReplacesShadowAndReportsIt)
{
	kernel_harness harness;
	harness.file("f", "");
	harness.task("adder", [] {
		address_space *mapping = mapping_of("f");
		add_folio(mapping, 2);
		folio *old = filemap_lock_folio(mapping, 2);
		mapping->i_pages.xa_lock.lock();
		__filemap_remove_folio(old, xa_mk_value(77));
		mapping->i_pages.xa_lock.unlock();
		filemap_free_folio(mapping, old);
		folio_unlock(old);
		folio_put(old);
		BUG_ON(PTR_ERR(filemap_get_folio(mapping, 2)) != -ENOENT);
		BUG_ON(filemap_get_entry(mapping, 2) != xa_mk_value(77));

		folio *f = folio_alloc(0);
		void *shadow = nullptr;
		folio_lock(f);
		BUG_ON(__filemap_add_folio(mapping, f, 2, 0, &shadow) != 0);
		BUG_ON(shadow != xa_mk_value(77));
		folio_unlock(f);
		folio_put(f);
	});
	for_seeds(harness, [&](unsigned) {
		harness.inspect([] { EXPECT_EQ(cached("f", 4), "2! nrpages=1"); });
	});
}

// ---- lookup against removal ----------------------------------------------------------------------

TEST(Filemap, LookupNeverReturnsFolioOfAnotherIndex)
{
	struct {
		unsigned found, absent, truncated, replaced;
	} seen{};
	kernel_harness harness;
	harness.file("f", "");
	harness.task("owner", [] {
		address_space *mapping = mapping_of("f");
		for (unsigned turn = 0; turn < 3; ++turn) {
			add_folio(mapping, 1);
			remove_folio(mapping, 1);
		}
		add_folio(mapping, 1);
	});
	harness.task("looker", [&seen] {
		address_space *mapping = mapping_of("f");
		const folio *last = nullptr;
		for (unsigned turn = 0; turn < 4; ++turn) {
			folio *f = filemap_get_folio(mapping, 1);
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
		address_space *mapping = mapping_of("f");
		for (unsigned turn = 0; turn < 3; ++turn) {
			folio *f = filemap_lock_folio(mapping, 1);
			if (IS_ERR(f))
				continue;
			BUG_ON(f->mapping.load() != mapping);
			folio_unlock(f);
			folio_put(f);
		}
	});
	for_seeds(harness, [&](unsigned) {
		harness.inspect([] { EXPECT_EQ(cached("f", 4), "1 nrpages=1"); });
	});
	EXPECT_GT(seen.found, 0u);
	EXPECT_GT(seen.absent, 0u);
	EXPECT_GT(seen.truncated, 0u);
	EXPECT_GT(seen.replaced, 0u);
}

/*
 * Counts lookups that took a reference and put it again, since the slot had changed meanwhile, and
 * those that met a frozen folio.
 */
class lookup_counter final : public interleaf::Observer
{
public:
	void event(const interleaf::Scheduler &, const interleaf::Task &task,
		   const interleaf::Access &access) override
	{
		if (!in_lookup(task.function()))
			return;
		std::uint32_t &last = last_[task.id];
		if (access.op == interleaf::Op::kRelax) {
			last = 0;
			++waits;
		}
		if (access.op != interleaf::Op::kReadModifyWrite)
			return;
		puts += access.object == last;
		last = access.object;
	}
	void enter(const interleaf::Scheduler &, const interleaf::Task &task,
		   const interleaf::Function &) override
	{
		last_[task.id] = 0;
	}
	void leave(const interleaf::Scheduler &, const interleaf::Task &,
		   const interleaf::Function &) override
	{
	}
	void remark(const interleaf::Scheduler &, const interleaf::Task &, std::string_view) override
	{
	}
	unsigned puts = 0;
	unsigned waits = 0;

private:
	static bool in_lookup(const interleaf::Function *function)
	{
		return function != nullptr &&
		       std::string_view(function->name) == "filemap_get_entry";
	}
	/* The reference count touched last by a task's lookup. */
	std::uint32_t last_[interleaf::kTasksMax] = {};
};

TEST(Filemap, LookupPutsFolioWhoseSlotChanged)
{
	kernel_harness harness;
	harness.file("f", "");
	harness.task("owner", [] {
		address_space *mapping = mapping_of("f");
		for (unsigned turn = 0; turn < 3; ++turn) {
			add_folio(mapping, 1);
			remove_folio(mapping, 1);
		}
	});
	harness.task("looker", [] {
		for (unsigned turn = 0; turn < 6; ++turn) {
			folio *f = filemap_get_folio(mapping_of("f"), 1);
			if (!IS_ERR(f))
				folio_put(f);
		}
	});
	lookup_counter counter;
	for_seeds(harness, [&](unsigned) {
		harness.inspect([] { EXPECT_EQ(cached("f", 4), "nrpages=0"); });
	}, &counter);
	EXPECT_GT(counter.puts, 0u);
}

TEST(Filemap, LookupWaitsForFrozenFolio)
{
	kernel_harness harness;
	harness.file("f", "");
	harness.setup([] {
		add_folio(mapping_of("f"), 0);
		lru_add_drain();
	});
	harness.task("freezer", [] {
		for (unsigned turn = 0; turn < 4; ++turn) {
			folio *f = filemap_lock_folio(mapping_of("f"), 0);
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
			folio *f = filemap_get_folio(mapping_of("f"), 0);
			BUG_ON(IS_ERR(f));
			folio_put(f);
		}
	});
	lookup_counter counter;
	for_seeds(harness, [&](unsigned) {
		harness.inspect([] { EXPECT_EQ(cached("f", 4), "0 nrpages=1"); });
	}, &counter);
	EXPECT_GT(counter.waits, 0u);
}

TEST(Filemap, FindOrCreateGivesOneFolioToAll)
{
	std::array<const folio *, 3> got{};
	kernel_harness harness;
	harness.file("f", "");
	for (unsigned who = 0; who < 3; ++who) {
		harness.task("task" + std::to_string(who), [&got, who] {
			folio *f = __filemap_get_folio(mapping_of("f"), 5, FGP_WRITEBEGIN);
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

// ---- batches -------------------------------------------------------------------------------------

/* Small folios at 0, 1, 2, 8 and 9, a large one over 4 to 7. */
void add_mixture(address_space *mapping)
{
	for (const pgoff_t index : { 0, 1, 2 })
		add_folio(mapping, index);
	add_folio(mapping, 4, 2);
	for (const pgoff_t index : { 8, 9 })
		add_folio(mapping, index);
}

/* "index of the slot : first index of the folio", and where the walk would go on. */
void render(char *to, const folio_batch &fbatch, const pgoff_t *indices, pgoff_t start)
{
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

TEST(Filemap, BatchesMeetLargeFolioOnce)
{
	char text[8][80] = {};
	kernel_harness harness;
	harness.file("f", "");
	harness.task("walker", [&text] {
		address_space *mapping = mapping_of("f");
		folio_batch fbatch;
		pgoff_t indices[folio_batch::kMax];

		add_mixture(mapping);
		pgoff_t start = 0;
		for (unsigned i = 0; i < 2; ++i) {
			folio_batch_init(&fbatch);
			find_get_entries(mapping, &start, ~pgoff_t{ 0 }, &fbatch, indices);
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
		find_lock_entries(mapping, &start, ~pgoff_t{ 0 }, &fbatch, indices);
		render(text[3], fbatch, indices, start);
		for (unsigned i = 0; i < fbatch.nr; ++i)
			folio_unlock(fbatch.folios[i]);
		folio_batch_release(&fbatch);

		start = 2;
		find_lock_entries(mapping, &start, 6, &fbatch, indices);
		render(text[4], fbatch, indices, start);
		for (unsigned i = 0; i < fbatch.nr; ++i)
			folio_unlock(fbatch.folios[i]);
		folio_batch_release(&fbatch);

		start = 1;
		filemap_get_folios(mapping, &start, 6, &fbatch);
		for (unsigned i = 0; i < fbatch.nr; ++i)
			indices[i] = fbatch.folios[i]->index.peek();
		render(text[5], fbatch, indices, start);
		folio_batch_release(&fbatch);

		/* Contiguous from 6 on: the large one and the two behind it. */
		filemap_get_read_batch(mapping, 6, 9, &fbatch);
		for (unsigned i = 0; i < fbatch.nr; ++i)
			indices[i] = fbatch.folios[i]->index.peek();
		render(text[6], fbatch, indices, 0);
		folio_batch_release(&fbatch);
		/* And up to the hole. */
		filemap_get_read_batch(mapping, 1, 9, &fbatch);
		for (unsigned i = 0; i < fbatch.nr; ++i)
			indices[i] = fbatch.folios[i]->index.peek();
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

TEST(Filemap, TaggedBatchFindsMarkedFoliosOnly)
{
	char text[80] = {};
	kernel_harness harness;
	harness.file("f", letters(10));
	harness.task("walker", [&text] {
		address_space *mapping = mapping_of("f");
		add_mixture(mapping);
		for (const pgoff_t index : { 1, 6, 9 }) {
			folio *f = filemap_lock_folio(mapping, index);
			folio_mark_dirty(f);
			folio_unlock(f);
			folio_put(f);
		}
		folio_batch fbatch;
		pgoff_t indices[folio_batch::kMax];
		pgoff_t start = 0;
		filemap_get_folios_tag(mapping, &start, ~pgoff_t{ 0 }, PAGECACHE_TAG_DIRTY, &fbatch);
		for (unsigned i = 0; i < fbatch.nr; ++i)
			indices[i] = fbatch.folios[i]->index.peek();
		render(text, fbatch, indices, start);
		folio_batch_release(&fbatch);
	});
	for_seeds(harness, [&](unsigned) { EXPECT_STREQ(text, "1:1 4:4 9:9 >N"); });
}

/*
 * Takes everything out as truncate does: what can be locked at once in batches, then waits for the
 * rest. Returns the passes it took.
 */
unsigned delete_all(address_space *mapping)
{
	unsigned passes = 0;
	for (; !xa_empty(&mapping->i_pages); ++passes) {
		folio_batch fbatch;
		pgoff_t indices[folio_batch::kMax];
		pgoff_t start = 0;
		if (find_lock_entries(mapping, &start, ~pgoff_t{ 0 }, &fbatch, indices) != 0) {
			delete_from_page_cache_batch(mapping, &fbatch);
			for (unsigned i = 0; i < fbatch.nr; ++i) {
				BUG_ON(fbatch.folios[i]->mapping.peek() != nullptr);
				folio_unlock(fbatch.folios[i]);
			}
		} else if (find_get_entries(mapping, &start, ~pgoff_t{ 0 }, &fbatch, indices) != 0) {
			folio_wait_locked(fbatch.folios[0]);
		}
		folio_batch_release(&fbatch);
	}
	return passes;
}

TEST(Filemap, BatchDeletionAccountsEveryFolio)
{
	struct {
		unsigned one_pass, more;
	} seen{};
	kernel_harness harness({ .geo = [] {
		geometry geo = small_geometry();
		geo.folio_batch = 8;
		return geo;
	}() });
	harness.file("f", "");
	harness.setup([] {
		add_mixture(mapping_of("f"));
		filemap_nr_thps_inc(mapping_of("f"));
	});
	for (const char *name : { "deleter1", "deleter2" }) {
		harness.task(name, [&seen] {
			const unsigned passes = delete_all(mapping_of("f"));
			seen.one_pass += passes == 1;
			seen.more += passes > 1;
		});
	}
	harness.task("locker", [] {
		address_space *mapping = mapping_of("f");
		for (const pgoff_t index : { 5, 1 }) {
			folio *f = filemap_lock_folio(mapping, index);
			if (IS_ERR(f))
				continue;
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

TEST(Filemap, RemovalOfDirtyFolioWarns)
{
	kernel_harness harness;
	harness.file("f", letters(2));
	harness.task("remover", [] {
		address_space *mapping = mapping_of("f");
		add_folio(mapping, 1);
		folio *f = filemap_lock_folio(mapping, 1);
		folio_mark_dirty(f);
		filemap_remove_folio(f);
		folio_unlock(f);
		folio_put(f);
	});
	const interleaf::RunResult &result = harness.run_in_order();
	ASSERT_FALSE(result.clean());
	EXPECT_EQ(result.findings[0].kind, interleaf::FindingKind::kKernelWarning);
	harness.inspect([] { EXPECT_EQ(this_machine().stat.nr_file_dirty.peek(), 0); });
}

} // namespace
} // namespace kernel
