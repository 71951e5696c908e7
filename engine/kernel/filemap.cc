// SPDX-License-Identifier: GPL-2.0-only
// The page cache: the folio lock, lookup, batches, insertion and removal, private data
// (mm/filemap.c of 6.12; the batch helpers are mm/swap.c's).
//
// Left out: memory cgroups, shmem and hugetlb, DAX, workingset refault accounting (a shadow entry
// met by an insertion is handed to the caller and forgotten), inode LRU, minimum folio orders.
// folio_end_read sets PG_uptodate and then unlocks, two steps; Linux does both in one.
//
// Lock order of the locks used here: invalidate_lock -> folio lock -> i_lock -> i_pages.xa_lock;
// several folio locks of a mapping in ascending index order, or by trylock. Lookups take RCU only.
#include "engine/kernel/pagemap.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/truncate_pages.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/retry_loop.h"

namespace kernel
{

namespace
{

bool folio_test_pmd_mappable(const folio *f)
{
	return folio_order(f) >= hpage_order();
}

/* folio_contains() for assertions. */
bool peek_contains(const folio *f, pgoff_t index)
{
	return index - f->index.look() < folio_nr_pages(f);
}

} // namespace

/*
 * The lookup primitive of all batches (P8): the next entry at or after the walker, at most `max`,
 * with a reference if it is a folio; null at the end. RCU read section.
 *
 *   1. load the slot             a. the owner freezes or drops the last reference
 *   2. reference unless zero     b. and then stores to the slot
 *   3. load the slot again
 *
 * A reference taken at 2 after the folio was freed and used for something else is noticed at 3.
 * While references are frozen, looking again is of no use before the owner has gone on, or the slot
 * holds something else.
 */
void *find_get_entry(xa_state *xas, pgoff_t max, xa_mark_t mark)
{
	for (interleaf::RetryLoop loop;;) {
		void *entry =
			mark == XA_PRESENT ? xas_find(xas, max) : xas_find_marked(xas, max, mark);

		if (xas_retry(xas, entry))
			continue;
		if (entry == nullptr || xa_is_value(entry))
			return entry;

		auto *f = static_cast<folio *>(entry);
		if (!folio_try_get(f)) {
			loop.again();
			xas_reset(xas);
			continue;
		}
		if (xas_reload(xas) != entry) {
			folio_put(f);
			xas_reset(xas);
			continue;
		}
		return entry;
	}
}

namespace
{

pgoff_t entry_pages(address_space *mapping, pgoff_t index, void *entry)
{
	if (!xa_is_value(entry))
		return folio_nr_pages(static_cast<folio *>(entry));
	xa_state xas(&mapping->i_pages, index);
	xas_load(&xas);
	return pgoff_t{ 1 } << xas_get_order(&xas);
}

} // namespace

/* ---- batches ---- */

unsigned folio_batch_add(folio_batch *fbatch, folio *f)
{
	fbatch->folios[fbatch->nr++] = f;
	return this_machine().geo.folio_batch - fbatch->nr;
}

void folio_batch_release(folio_batch *fbatch)
{
	if (fbatch->nr == 0)
		return;
	FRAME(__folio_batch_release);
	/* Folios that only wait in this CPU's batch would else keep their last reference there. */
	if (!fbatch->percpu_pvec_drained) {
		lru_add_drain();
		fbatch->percpu_pvec_drained = true;
	}
	folios_put_refs(fbatch->folios, fbatch->nr);
	fbatch->nr = 0;
}

/* Takes the value entries out. */
void folio_batch_remove_exceptionals(folio_batch *fbatch)
{
	unsigned kept = 0;

	FRAME(folio_batch_remove_exceptionals);
	for (unsigned i = 0; i < fbatch->nr; ++i) {
		if (!xa_is_value(fbatch->folios[i]))
			fbatch->folios[kept++] = fbatch->folios[i];
	}
	fbatch->nr = kept;
}

/* ---- the folio lock ---- */

void folio_lock(folio *f, std::source_location where)
{
	f->lock.lock(where);
}

bool folio_trylock(folio *f, std::source_location where)
{
	return f->lock.try_lock(where);
}

void folio_unlock(folio *f, std::source_location where)
{
	FRAME(folio_unlock);
	VM_BUG_ON_FOLIO(!f->lock.held_by_me(), f);
	f->lock.unlock(where);
}

/* The caller holds a reference. The folio may be locked again when this returns. */
void folio_wait_locked(folio *f, std::source_location where)
{
	if (folio_test_locked(f, where))
		f->lock.wait(where);
}

/* By the task that completes the read, or by the one that started it if there was no I/O. */
void folio_end_read(folio *f, bool success)
{
	FRAME(folio_end_read);
	VM_BUG_ON_FOLIO(!f->lock.look_locked(), f);
	VM_BUG_ON_FOLIO(success && f->flags.look(PG_uptodate), f);
	if (success)
		folio_set_uptodate(f);
	if (f->lock.held_by_me())
		f->lock.unlock();
	else
		f->lock.unlock_by_other();
}

/* ---- lookup ---- */

/*
 * The entry at `index`: a folio with a reference, a value, or null. Takes RCU; the folio may leave
 * the cache at any moment.
 */
void *filemap_get_entry(address_space *mapping, pgoff_t index)
{
	xa_state xas(&mapping->i_pages, index);
	void *entry;

	FRAME(filemap_get_entry);
	rcu_read_lock();
	for (interleaf::RetryLoop loop;;) {
		xas_reset(&xas);
		entry = xas_load(&xas);
		if (xas_retry(&xas, entry))
			continue;
		if (entry == nullptr || xa_is_value(entry))
			break;
		auto *f = static_cast<folio *>(entry);
		if (!folio_try_get(f)) {
			loop.again();
			continue;
		}
		if (xas_reload(&xas) == entry)
			break;
		folio_put(f);
	}
	rcu_read_unlock();
	return entry;
}

/*
 * The folio at `index` with a reference, locked if FGP_LOCK; with FGP_CREAT a new, locked, not
 * uptodate one if there is none. Sleeps for the lock unless FGP_NOWAIT. ERR_PTR: -ENOENT, -EAGAIN
 * (FGP_NOWAIT), -ENOMEM.
 */
folio *__filemap_get_folio(address_space *mapping, pgoff_t index, unsigned fgp)
{
	FRAME(__filemap_get_folio);
	for (;;) {
		void *entry = filemap_get_entry(mapping, index);

		if (entry != nullptr && !xa_is_value(entry)) {
			auto *f = static_cast<folio *>(entry);

			if ((fgp & FGP_LOCK) != 0) {
				if ((fgp & FGP_NOWAIT) == 0) {
					folio_lock(f);
				} else if (!folio_trylock(f)) {
					folio_put(f);
					return ERR_PTR<folio>(-EAGAIN);
				}
				/* Truncated, or replaced, while we waited. */
				if (f->mapping.load() != mapping) {
					folio_unlock(f);
					folio_put(f);
					continue;
				}
				VM_BUG_ON_FOLIO(!peek_contains(f, index), f);
			}
			if ((fgp & FGP_ACCESSED) != 0)
				folio_mark_accessed(f);
			if ((fgp & FGP_STABLE) != 0)
				folio_wait_stable(f);
			return f;
		}

		if ((fgp & FGP_CREAT) == 0)
			return ERR_PTR<folio>(-ENOENT);
		VM_WARN_ON_ONCE((fgp & (FGP_LOCK | FGP_FOR_MMAP)) == 0);

		folio *f = folio_alloc(0);
		if (f == nullptr)
			return ERR_PTR<folio>(-ENOMEM);
		if ((fgp & FGP_ACCESSED) != 0)
			folio_set_referenced(f);
		const int error = filemap_add_folio(mapping, f, index, 0);
		if (error == 0) {
			if ((fgp & FGP_FOR_MMAP) != 0)
				folio_unlock(f);
			return f;
		}
		folio_put(f);
		if (error != -EEXIST)
			return ERR_PTR<folio>(error);
	}
}

folio *filemap_get_folio(address_space *mapping, pgoff_t index)
{
	return __filemap_get_folio(mapping, index, 0);
}

folio *filemap_lock_folio(address_space *mapping, pgoff_t index)
{
	return __filemap_get_folio(mapping, index, FGP_LOCK);
}

/*
 * Locked folios without writeback and value entries that lie wholly in [*start, end], what cannot
 * be locked at once left out; for the first pass of truncate (P7.2). *start moves behind the last
 * entry. Never sleeps.
 */
unsigned find_lock_entries(address_space *mapping, pgoff_t *start, pgoff_t end, folio_batch *fbatch,
			   pgoff_t *indices)
{
	if (!patched(Patch::kFolioTruncate)) {
		const unsigned nr = find_lock_pages(mapping, *start, end, fbatch, indices);
		if (nr != 0) {
			const folio *last = fbatch->folios[nr - 1];
			*start = indices[nr - 1] + (xa_is_value(last) ? 1 : folio_nr_pages(last));
		}
		return nr;
	}
	xa_state xas(&mapping->i_pages, *start);

	FRAME(find_lock_entries);
	rcu_read_lock();
	while (void *entry = find_get_entry(&xas, end, XA_PRESENT)) {
		auto *f = static_cast<folio *>(entry);
		pgoff_t base, nr;

		if (xa_is_value(entry)) {
			nr = pgoff_t{ 1 } << xas_get_order(&xas);
			base = xas.xa_index & ~(nr - 1);
			if (base < *start)
				continue;
			if (base + nr - 1 > end)
				break;
		} else {
			nr = folio_nr_pages(f);
			base = f->index.load();
			if (base < *start || base + nr - 1 > end || !folio_trylock(f)) {
				folio_put(f);
				continue;
			}
			if (f->mapping.load() != mapping || folio_test_writeback(f)) {
				folio_unlock(f);
				folio_put(f);
				continue;
			}
			VM_BUG_ON_FOLIO(!peek_contains(f, xas.xa_index), f);
		}

		*start = base + nr;
		indices[fbatch->nr] = xas.xa_index;
		if (folio_batch_add(fbatch, f) == 0)
			break;
	}
	rcu_read_unlock();
	return folio_batch_count(fbatch);
}

/*
 * All entries in [*start, end], referenced and not locked; large folios may stick out at both
 * ends. *start moves behind the last one.
 */
unsigned find_get_entries(address_space *mapping, pgoff_t *start, pgoff_t end, folio_batch *fbatch,
			  pgoff_t *indices)
{
	xa_state xas(&mapping->i_pages, *start);

	FRAME(find_get_entries);
	rcu_read_lock();
	while (void *entry = find_get_entry(&xas, end, XA_PRESENT)) {
		indices[fbatch->nr] = xas.xa_index;
		if (folio_batch_add(fbatch, static_cast<folio *>(entry)) == 0)
			break;
	}
	if (fbatch->nr != 0) {
		const unsigned last = fbatch->nr - 1;
		const pgoff_t nr = entry_pages(mapping, indices[last], fbatch->folios[last]);
		*start = (indices[last] + nr) & ~(nr - 1);
	}
	rcu_read_unlock();
	return folio_batch_count(fbatch);
}

namespace
{

/* Shadows carry no marks, but one may have taken the place of a folio that did: skipped. */
unsigned get_folios(address_space *mapping, pgoff_t *start, pgoff_t end, xa_mark_t mark,
		    folio_batch *fbatch)
{
	xa_state xas(&mapping->i_pages, *start);

	rcu_read_lock();
	while (void *entry = find_get_entry(&xas, end, mark)) {
		if (xa_is_value(entry))
			continue;
		auto *f = static_cast<folio *>(entry);
		if (folio_batch_add(fbatch, f) == 0) {
			*start = f->index.load() + folio_nr_pages(f);
			rcu_read_unlock();
			return folio_batch_count(fbatch);
		}
	}
	/* Nothing is left up to `end`; keep it from wrapping around. */
	*start = end == ~pgoff_t{ 0 } ? end : end + 1;
	rcu_read_unlock();
	return folio_batch_count(fbatch);
}

} // namespace

/* Referenced folios that overlap [*start, end], not locked; *start moves on. */
unsigned filemap_get_folios(address_space *mapping, pgoff_t *start, pgoff_t end,
			    folio_batch *fbatch)
{
	FRAME(filemap_get_folios);
	return get_folios(mapping, start, end, XA_PRESENT, fbatch);
}

/* The same for those whose slot has the mark. */
unsigned filemap_get_folios_tag(address_space *mapping, pgoff_t *start, pgoff_t end, xa_mark_t tag,
				folio_batch *fbatch)
{
	FRAME(filemap_get_folios_tag);
	return get_folios(mapping, start, end, tag, fbatch);
}

/*
 * Referenced folios of consecutive indices from `index` up to `max`. Ends before a hole, and
 * behind a folio that is not uptodate or that asks for more readahead: only the last one can be.
 */
void filemap_get_read_batch(address_space *mapping, pgoff_t index, pgoff_t max, folio_batch *fbatch)
{
	xa_state xas(&mapping->i_pages, index);

	FRAME(filemap_get_read_batch);
	interleaf::RetryLoop loop;
	rcu_read_lock();
	for (void *entry = xas_load(&xas); entry != nullptr; entry = xas_next(&xas)) {
		if (xas_retry(&xas, entry))
			continue;
		if (xas.xa_index > max || xa_is_value(entry))
			break;
		auto *f = static_cast<folio *>(entry);
		if (!folio_try_get(f)) {
			loop.again();
			xas_reset(&xas);
			continue;
		}
		if (xas_reload(&xas) != entry) {
			folio_put(f);
			xas_reset(&xas);
			continue;
		}
		loop.worked();
		if (folio_batch_add(fbatch, f) == 0)
			break;
		if (!folio_test_uptodate(f))
			break;
		if (folio_test_readahead(f))
			break;
		if (folio_test_large(f))
			xas_set(&xas, folio_next_index(f));
	}
	rcu_read_unlock();
}

/* ---- insertion ---- */

/*
 * Puts a locked folio with no place yet into the cache, with a reference per page. `*shadow` is
 * the value entry it replaced. May sleep for memory. 0, -EEXIST, -ENOMEM.
 */
int __filemap_add_folio(address_space *mapping, folio *f, pgoff_t index, gfp_t, void **shadow)
{
	const unsigned nr = folio_nr_pages(f);
	xa_state xas(&mapping->i_pages, index, folio_order(f));
	void *alloced_shadow = nullptr;
	int alloced_order = 0;

	FRAME(__filemap_add_folio);
	VM_BUG_ON_FOLIO(!f->lock.held_by_me(), f);
	VM_BUG_ON_FOLIO((index & (nr - 1)) != 0, f);

	folio_ref_add(f, static_cast<int>(nr));
	f->mapping.store(mapping);
	f->index.store(index);

	for (;;) {
		int order = -1, split_order = 0;
		void *old = nullptr;

		mapping->i_pages.xa_lock.lock();
		while (void *entry = xas_find_conflict(&xas)) {
			old = entry;
			if (!xa_is_value(entry)) {
				xas_set_err(&xas, -EEXIST);
				break;
			}
			/* An entry larger than ours is the only one met. */
			if (order == -1)
				order = xas_get_order(&xas);
		}

		/* What the nodes were allocated for may be gone since the lock was dropped. */
		if (alloced_order != 0 && (old != alloced_shadow || order != alloced_order)) {
			xas_destroy(&xas);
			alloced_order = 0;
		}

		if (xas_error(&xas) == 0 && old != nullptr) {
			if (order > static_cast<int>(folio_order(f))) {
				if (alloced_order == 0) {
					split_order = order;
				} else {
					xas_split(&xas, old, static_cast<unsigned>(order));
					xas_reset(&xas);
				}
			}
			if (split_order == 0 && shadow != nullptr)
				*shadow = old;
		}

		if (split_order == 0) {
			xas_store(&xas, f); /* does nothing in an error state */
			if (xas_error(&xas) == 0) {
				mapping->nrpages.store(mapping->nrpages.load() + nr);
				vm_stat_add(this_machine().stat.nr_file_pages, nr);
				if (folio_test_pmd_mappable(f))
					vm_stat_add(this_machine().stat.nr_file_thps, nr);
			}
		}
		mapping->i_pages.xa_lock.unlock();

		if (split_order != 0) {
			xas_split_alloc(&xas, old, static_cast<unsigned>(split_order));
			if (xas_error(&xas) != 0)
				break;
			alloced_shadow = old;
			alloced_order = split_order;
			xas_reset(&xas);
			continue;
		}
		if (!xas_nomem(&xas))
			break;
	}

	const int error = xas_error(&xas);
	if (error != 0) {
		/* The index stays: whoever holds a reference may still look at it. */
		f->mapping.store(nullptr);
		folio_put_refs(f, static_cast<int>(nr));
	}
	return error;
}

/* Locks a new folio and puts it into the cache and on the LRU. It stays locked if that works. */
int filemap_add_folio(address_space *mapping, folio *f, pgoff_t index, gfp_t gfp)
{
	void *shadow = nullptr;

	FRAME(filemap_add_folio);
	const bool locked = folio_trylock(f);
	BUG_ON(!locked);
	const int error = __filemap_add_folio(mapping, f, index, gfp, &shadow);
	if (error != 0) {
		f->lock.unlock();
		return error;
	}
	folio_add_lru(f);
	return 0;
}

/* ---- removal ---- */

namespace
{

/* i_pages locked. The folio is about to leave the cache: clean, and mapped by nobody. */
void filemap_unaccount_folio(address_space *mapping, folio *f)
{
	const long nr = folio_nr_pages(f);

	FRAME(filemap_unaccount_folio);
	VM_BUG_ON_FOLIO(f->_mapcount.look() != 0, f);
	vm_stat_add(this_machine().stat.nr_file_pages, -nr);
	if (folio_test_pmd_mappable(f)) {
		vm_stat_add(this_machine().stat.nr_file_thps, -nr);
		filemap_nr_thps_dec(mapping);
	}
	/* Written or cancelled before; what is dirty here is lost. */
	if (folio_test_dirty(f)) {
		warn("folio_test_dirty(folio) && mapping_can_writeback(mapping)");
		folio_account_cleaned(f);
	}
}

/* i_pages locked, folio locked. The folio's index stays for those who still look at it. */
void page_cache_delete(address_space *mapping, folio *f, void *shadow)
{
	xa_state xas(&mapping->i_pages, f->index.load(), folio_order(f));

	FRAME(page_cache_delete);
	observer &watcher = *this_machine().watcher;
	const bool one_by_one = !patched(Patch::kFolioTruncate) && folio_test_large(f);
	VM_BUG_ON_FOLIO(!f->lock.held_by_me(), f);
	if (one_by_one)
		watcher.folio_set_aside(*mapping->host, *f, true);
	xas_store(&xas, shadow);
	if (one_by_one)
		watcher.folio_set_aside(*mapping->host, *f, false);
	watcher.folio_removed(*mapping->host, *f, nullptr);
	xas_init_marks(&xas);
	f->mapping.store(nullptr);
	mapping->nrpages.store(mapping->nrpages.load() - folio_nr_pages(f));
}

/* i_pages locked, all folios of the batch locked, in ascending order. */
void page_cache_delete_batch(address_space *mapping, folio_batch *fbatch)
{
	xa_state xas(&mapping->i_pages, fbatch->folios[0]->index.load());
	machine &m = this_machine();
	unsigned long total_pages = 0;
	unsigned i = 0;

	FRAME(page_cache_delete_batch);
	for (void *entry = xas_find(&xas, ~pgoff_t{ 0 }); entry != nullptr && i < fbatch->nr;
	     entry = xas_next_entry(&xas, ~pgoff_t{ 0 })) {
		if (xa_is_value(entry))
			continue;
		auto *f = static_cast<folio *>(entry);
		/* Inserted meanwhile, between folios of ours. */
		if (f != fbatch->folios[i]) {
			VM_BUG_ON_FOLIO(f->index.look() > fbatch->folios[i]->index.look(), f);
			continue;
		}
		VM_WARN_ON_ONCE(!f->lock.held_by_me());
		/* A huge page has one entry, or one per page: the turn of the first and the last. */
		const pgoff_t first = f->index.look();
		const unsigned nr = patched(Patch::kFolioTruncate) ? folio_nr_pages(f) : 1;
		const bool last = xas.xa_index + nr == first + folio_nr_pages(f);
		if (xas.xa_index == first) {
			f->mapping.store(nullptr);
			if (!last)
				m.watcher->folio_set_aside(*mapping->host, *f, true);
		}
		xas_store(&xas, nullptr);
		total_pages += nr;
		if (last) {
			if (nr != folio_nr_pages(f))
				m.watcher->folio_set_aside(*mapping->host, *f, false);
			m.watcher->folio_removed(*mapping->host, *f, nullptr);
			++i;
		}
	}
	mapping->nrpages.store(mapping->nrpages.load() - total_pages);
}

} // namespace

/* Folio and i_pages locked. The caller drops the cache's references (filemap_free_folio). */
void __filemap_remove_folio(folio *f, void *shadow)
{
	address_space *mapping = f->mapping.load();

	FRAME(__filemap_remove_folio);
	filemap_unaccount_folio(mapping, f);
	page_cache_delete(mapping, f, shadow);
}

/* Drops the references of the cache. The folio is out of it and may be freed here. */
void filemap_free_folio(address_space *mapping, folio *f)
{
	FRAME(filemap_free_folio);
	if (mapping->a_ops->free_folio != nullptr)
		mapping->a_ops->free_folio(f);
	folio_put_refs(f, static_cast<int>(folio_nr_pages(f)));
}

/* Folio locked and in the cache; the caller holds a reference of its own. */
void filemap_remove_folio(folio *f)
{
	address_space *mapping = f->mapping.load();

	FRAME(filemap_remove_folio);
	BUG_ON(!f->lock.held_by_me());
	mapping->host->i_lock.lock();
	mapping->i_pages.xa_lock.lock();
	__filemap_remove_folio(f, nullptr);
	mapping->i_pages.xa_lock.unlock();
	mapping->host->i_lock.unlock();
	filemap_free_folio(mapping, f);
}

/* The same for a batch: all locked, of this mapping, ascending, no value entries. */
void delete_from_page_cache_batch(address_space *mapping, folio_batch *fbatch)
{
	if (fbatch->nr == 0)
		return;
	FRAME(delete_from_page_cache_batch);
	mapping->host->i_lock.lock();
	mapping->i_pages.xa_lock.lock();
	for (unsigned i = 0; i < fbatch->nr; ++i)
		filemap_unaccount_folio(mapping, fbatch->folios[i]);
	page_cache_delete_batch(mapping, fbatch);
	mapping->i_pages.xa_lock.unlock();
	mapping->host->i_lock.unlock();
	for (unsigned i = 0; i < fbatch->nr; ++i)
		filemap_free_folio(mapping, fbatch->folios[i]);
}

/* ---- private data ---- */

/* Must somebody call filemap_release_folio before the folio may go? */
bool folio_needs_release(const folio *f)
{
	const address_space *mapping = folio_mapping(f);

	return folio_test_private(f) ||
	       (mapping != nullptr && mapping->flags.test(AS_RELEASE_ALWAYS));
}

/* Folio locked. Asks the filesystem to take its private data away. May sleep. */
bool filemap_release_folio(folio *f, gfp_t gfp)
{
	address_space *mapping = f->mapping.load();

	FRAME(filemap_release_folio);
	BUG_ON(!f->lock.held_by_me());
	if (!folio_needs_release(f))
		return true;
	if (folio_test_writeback(f))
		return false;
	if (mapping == nullptr || mapping->a_ops->release_folio == nullptr)
		return false;
	return mapping->a_ops->release_folio(f, gfp);
}

} // namespace kernel
