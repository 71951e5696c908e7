// SPDX-License-Identifier: GPL-2.0-only
// Replacing one range of a file by a huge page (collapse_file of mm/khugepaged.c of 6.12: the scheme
// of 6.4, in which the old folios stay in the cache until one store replaces them all). The scheme
// before it is in collapse_old.cc.
//
// Left out: shmem, swap, NUMA placement.
//
// Locks: folio locks of a mapping in ascending order, xa_lock inside them; no mmap_lock. Filling a
// hole of the range takes invalidate_lock shared with folio locks held, against the documented
// order; so does the July 2026 fix.
#include "engine/kernel/collapse.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/barrier.h"

namespace kernel
{

namespace
{

/* A locked folio of PMD order for the range, charged; in no cache yet. May sleep. */
scan_result alloc_charge_folio(folio **new_folio)
{
	FRAME(alloc_charge_folio);

	folio *f = folio_alloc(hpage_order());
	if (f == nullptr)
		return SCAN_ALLOC_HUGE_PAGE_FAIL;
	if (should_fail("alloc_hugepage")) {
		folio_put(f);
		return SCAN_CGROUP_CHARGE_FAIL;
	}
	*new_folio = f;
	return SCAN_SUCCEED;
}

/*
 * Gives every slot of the range a node, so that the commit needs no memory. On success xa_lock is
 * held. May sleep for memory.
 */
scan_result create_range(collapse &c)
{
	for (;;) {
		c.mapping->i_pages.xa_lock.lock();
		xas_create_range(&c.xas);
		if (xas_error(&c.xas) == 0)
			return SCAN_SUCCEED;
		c.mapping->i_pages.xa_lock.unlock();
		if (!xas_nomem(&c.xas))
			return SCAN_FAIL;
	}
}

scan_result scan_dirty_or_writeback()
{
	return patched(Patch::kDirtyIsTransient) ? SCAN_PAGE_DIRTY_OR_WRITEBACK : SCAN_FAIL;
}

/* With a reference, reading it in if it is not there. xa_lock held; it is dropped. May sleep. */
scan_result lock_folio_of_range(collapse &c, pgoff_t index, folio **locked)
{
	interleaf::Spinlock &xa_lock = c.mapping->i_pages.xa_lock;
	xas_set(&c.xas, index);
	void *entry = xas_load(&c.xas);

	if (entry == nullptr || xa_is_value(entry)) {
		xa_lock.unlock();
		page_cache_sync_readahead(c.mapping, &c.f->f_ra, c.f, index, c.end - index);
		/* Folios in the batch are not on the LRU: isolation would fail. */
		lru_add_drain();
		*locked = filemap_lock_folio(c.mapping, index);
		return IS_ERR_OR_NULL(*locked) ? SCAN_FAIL : SCAN_SUCCEED;
	}

	auto *f = static_cast<folio *>(entry);
	if (folio_test_dirty(f)) {
		/* The writer has closed the file, but nobody has written it back: ask for it, so
		 * that a later attempt may succeed. Where writers may be there, they would soon
		 * make it dirty again. */
		xa_lock.unlock();
		if (!patched(Patch::kCollapseWritable) || !inode_is_open_for_write(c.mapping->host))
			filemap_flush(c.mapping);
		return scan_dirty_or_writeback();
	}
	if (patched(Patch::kSkipWriteback) && folio_test_writeback(f)) {
		xa_lock.unlock();
		return scan_dirty_or_writeback();
	}
	if (!folio_trylock(f)) {
		xa_lock.unlock();
		return SCAN_PAGE_LOCK;
	}
	folio_get(f);
	xa_lock.unlock();
	*locked = f;
	return SCAN_SUCCEED;
}

/* The range was truncated and extended, or punched, and collapsed by somebody else. */
scan_result check_order(const collapse &c, const folio *f)
{
	if (!folio_test_large(f))
		return SCAN_SUCCEED;
	if (patched(Patch::kFolioTruncate) && folio_order(f) == hpage_order() &&
	    f->index.load() == c.start)
		return SCAN_PTE_MAPPED_HUGEPAGE;
	return patched(Patch::kCollapseKeepsOldFolios) ? SCAN_SUCCEED : SCAN_PAGE_COMPOUND;
}

/* Ours, the isolation's, and the cache's. */
bool only_known_references(folio *f)
{
	const int expected = 2 + static_cast<int>(folio_nr_pages(f));
	/* Who finds it under RCU from now on may take a reference and read it, but cannot change
	 * it without its lock. */
	if (patched(Patch::kCollapseKeepsOldFolios))
		return folio_ref_count(f) == expected;
	/* Who finds it looks again until its slot holds the huge page. */
	return folio_ref_freeze(f, expected);
}

/*
 * From everybody else, but for the lock and the reference that the caller has. On success xa_lock is
 * held; on failure not, and the rest is given back. May sleep.
 */
scan_result isolate_folio(collapse &c, pgoff_t index, folio *f)
{
	BUG_ON(!f->lock.held_by_me());

	if (!folio_test_uptodate(f))
		return SCAN_FAIL;
	const scan_result order = check_order(c, f);
	if (order != SCAN_SUCCEED)
		return order;
	if (folio_mapping(f) != c.mapping)
		return SCAN_TRUNCATED;
	/* Looked at without the lock before, or read in just now. */
	if (folio_test_dirty(f) || (patched(Patch::kSkipWriteback) && folio_test_writeback(f)))
		return scan_dirty_or_writeback();
	if (!folio_isolate_lru(f))
		return SCAN_DEL_PAGE_LRU;
	if (!filemap_release_folio(f, 0)) {
		folio_putback_lru(f);
		return SCAN_PAGE_HAS_PRIVATE;
	}
	if (folio_mapped(f)) {
		if (patched(Patch::kUnmapByRmap))
			try_to_unmap(f, TTU_IGNORE_MLOCK | TTU_BATCH_FLUSH);
		else
			unmap_mapping_pages(c.mapping, index, 1, false);
	}

	c.mapping->i_pages.xa_lock.lock();
	VM_BUG_ON_FOLIO(xa_peek(&c.mapping->i_pages, index).entry != f, f);
	VM_BUG_ON_FOLIO(!patched(Patch::kUnmapByRmap) && f->_mapcount.look() != 0, f);
	if (!only_known_references(f)) {
		c.mapping->i_pages.xa_lock.unlock();
		folio_putback_lru(f);
		return SCAN_PAGE_COUNT;
	}
	/* Unmapping it has moved the dirty bits of page tables here. From now on nobody can make
	 * it dirty without its lock. */
	if (patched(Patch::kDirtyRecheck) && folio_test_dirty(f)) {
		c.mapping->i_pages.xa_lock.unlock();
		folio_putback_lru(f);
		return scan_dirty_or_writeback();
	}
	return SCAN_SUCCEED;
}

} // namespace

scan_result take_folio_of_range(collapse &c, pgoff_t index)
{
	folio *f = nullptr;
	scan_result result = lock_folio_of_range(c, index, &f);
	if (result != SCAN_SUCCEED)
		return result;
	result = isolate_folio(c, index, f);
	if (result != SCAN_SUCCEED) {
		folio_unlock(f);
		folio_put(f);
		return result;
	}
	c.folios.push_back(f);
	return SCAN_SUCCEED;
}

namespace
{

/* Steps 4 to 10 of the fact sheet. Requires: xa_lock held; held on success, else dropped. */
scan_result isolate_range(collapse &c)
{
	for (pgoff_t index = c.start; index < c.end;) {
		const scan_result result = take_folio_of_range(c, index);
		if (result != SCAN_SUCCEED)
			return result;
		index += folio_nr_pages(c.folios.back());
	}
	return SCAN_SUCCEED;
}

} // namespace

/* The fence pairs with the atomic in get_write_access(); see do_dentry_open(). */
bool count_thp_unless_written(address_space *mapping)
{
	filemap_nr_thps_inc(mapping);
	interleaf::smp_mb();
	return !inode_is_open_for_write(mapping->host);
}

namespace
{

/* The fix of July 2026 replaces the check under xa_lock by flush_mapping() below. */
bool flushes_mapping(const address_space *mapping)
{
	return patched(Patch::kKhugepagedWriteAllDirtyV1) ||
	       (patched(Patch::kKhugepagedWriteAllDirty) && !mapping_large_folio_support(mapping));
}

bool checks_writers_under_xa_lock()
{
	return !patched(Patch::kNoPurge) && !patched(Patch::kKhugepagedWriteAllDirtyV1) &&
	       !patched(Patch::kKhugepagedWriteAllDirty);
}

/*
 * The next write-open purges the file, so nothing in it may be dirty: not in the range, whose
 * folios are locked and clean, and not beside it. invalidate_lock keeps that purge out until the
 * writeback is complete. May sleep.
 *
 * It is above folio locks, and the caller has some: who waits for it here may wait for somebody
 * who waits for them.
 */
scan_result flush_mapping(address_space *mapping)
{
	scan_result result = SCAN_SUCCEED;

	if (patched(Patch::kFlushTrylock)) {
		if (!filemap_invalidate_trylock_shared(mapping))
			return SCAN_PAGE_LOCK;
	} else {
		filemap_invalidate_lock_shared(mapping);
	}
	if (!count_thp_unless_written(mapping) || filemap_write_and_wait(mapping) != 0) {
		filemap_nr_thps_dec(mapping);
		result = SCAN_FAIL;
	}
	filemap_invalidate_unlock_shared(mapping);
	return result;
}

/* Copies the locked folios; SCAN_COPY_MC if memory of one of them is broken. */
scan_result copy_range(const collapse &c, folio *new_folio)
{
	unsigned page = 0;
	for (const folio *f : c.folios) {
		for (unsigned i = 0; i < folio_nr_pages(f); ++i) {
			if (should_fail("copy_mc"))
				return SCAN_COPY_MC;
			folio_copy_page(new_folio, page++, f, i);
		}
	}
	return SCAN_SUCCEED;
}

/* The one moment at which the cache changes. Takes xa_lock. */
void commit(collapse &c, folio *new_folio)
{
	machine &m = this_machine();

	c.mapping->i_pages.xa_lock.lock();
	vm_stat_add(m.stat.nr_file_thps, static_cast<long>(hpage_pages()));
	/* Before anybody can find it: who does must not take it for allocated but unread. */
	folio_set_uptodate(new_folio);
	folio_ref_add(new_folio, static_cast<int>(hpage_pages()) - 1);
	folio_add_lru(new_folio);
	xas_set_order(&c.xas, c.start, hpage_order());
	xas_store(&c.xas, new_folio);
	for (folio *old : c.folios)
		m.watcher->folio_removed(*c.mapping->host, *old, new_folio);
	VM_WARN_ON_ONCE(xas_error(&c.xas) != 0);
	c.mapping->i_pages.xa_lock.unlock();
}

/* The cache's references of the old folios went with their slots. */
void free_old_folios(const collapse &c)
{
	for (folio *f : c.folios) {
		f->mapping.store(nullptr);
		folio_clear_active(f);
		folio_unlock(f);
		folio_put_refs(f, 2 + static_cast<int>(folio_nr_pages(f)));
	}
}

/* Nothing in the cache was changed. */
void roll_back(const collapse &c, folio *new_folio, scan_result result)
{
	for (folio *f : c.folios) {
		folio_unlock(f);
		folio_putback_lru(f);
		folio_put(f);
	}
	/* All other failures come before the count was raised, or lowered it again themselves. */
	if (result == SCAN_COPY_MC && !patched(Patch::kNoPurge)) {
		filemap_nr_thps_dec(c.mapping);
		/* Pairs with the atomic in get_write_access(). */
		interleaf::smp_mb();
	}
	new_folio->mapping.poke(nullptr);
	folio_unlock(new_folio);
	folio_put(new_folio);
}

} // namespace

namespace
{

/* collapse_file() with nobody kept out. */
scan_result collapse_range(file *f, pgoff_t start, const collapse_control *cc)
{
	address_space *mapping = f->f_mapping;
	folio *new_folio = nullptr;

	BUG_ON(start % hpage_pages() != 0);
	scan_result result = alloc_charge_folio(&new_folio);
	if (result != SCAN_SUCCEED)
		return result;

	collapse c{ .mapping = mapping,
		    .f = f,
		    .start = start,
		    .end = start + hpage_pages(),
		    .xas = xa_state(&mapping->i_pages, start, hpage_order()) };
	c.folios.reserve(hpage_pages());
	/* Nobody else can find it before the commit. */
	new_folio->lock.try_lock();
	new_folio->index.poke(start);
	new_folio->mapping.poke(mapping);

	result = create_range(c);
	if (result != SCAN_SUCCEED) {
		roll_back(c, new_folio, result);
		return result;
	}
	if (!patched(Patch::kCollapseKeepsOldFolios))
		return replace_while_walking(c, new_folio, cc);
	result = isolate_range(c);
	if (result == SCAN_SUCCEED) {
		if (checks_writers_under_xa_lock() && !count_thp_unless_written(mapping)) {
			result = SCAN_FAIL;
			filemap_nr_thps_dec(mapping);
		}
		mapping->i_pages.xa_lock.unlock();
	}
	/* No CPU may write through an old translation once the copy has begun. */
	try_to_unmap_flush();

	if (result == SCAN_SUCCEED && flushes_mapping(mapping))
		result = flush_mapping(mapping);
	if (result == SCAN_SUCCEED)
		result = copy_range(c, new_folio);
	if (result != SCAN_SUCCEED) {
		roll_back(c, new_folio, result);
		return result;
	}

	commit(c, new_folio);
	retract_page_tables(mapping, start);
	if (!cc->is_khugepaged)
		result = SCAN_PTE_MAPPED_HUGEPAGE;
	folio_unlock(new_folio);
	free_old_folios(c);
	return result;
}

} // namespace

/*
 * Replaces the folios of one aligned range by a huge one. Requires: a reference to the file, no
 * locks. May sleep. SCAN_SUCCEED for khugepaged, SCAN_PTE_MAPPED_HUGEPAGE for madvise(2) (page
 * tables are still to be fixed), else why not; the cache is then as before.
 */
scan_result collapse_file([[maybe_unused]] mm_struct *mm, [[maybe_unused]] std::uint64_t address,
			  file *f, pgoff_t start, collapse_control *cc)
{
	FRAME(collapse_file);
	const bool deny = patched(Patch::kCollapseDenyWrite);

	if (deny && deny_write_access(f) != 0)
		return SCAN_FAIL;
	const scan_result result = collapse_range(f, start, cc);
	if (deny)
		allow_write_access(f);
	return result;
}

} // namespace kernel
