// SPDX-License-Identifier: GPL-2.0-only
// Finding folios of the page cache: one, or a batch of them (mm/filemap.c of 6.12).
//
// Lookups take RCU only, and a reference of what they find; find_lock_entries() also tries to lock.
#include "engine/kernel/filemap.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/truncate_pages.h"
#include "scheduler/frame.h"
#include "scheduler/sync/retry_loop.h"

namespace kernel
{

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

} // namespace kernel
