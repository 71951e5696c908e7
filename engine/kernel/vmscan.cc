// SPDX-License-Identifier: GPL-2.0-only
// Reclaim of folios that somebody chose (mm/vmscan.c of 6.12): MADV_PAGEOUT's part of it.
//
// Left out: everything that looks for folios to reclaim, kswapd and with it pageout() of dirty
// folios; anonymous folios, which stay; swap cache; shadow entries.
//
// Lock order: folio lock -> i_lock -> i_pages.xa_lock.
#include "engine/kernel/vmscan.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/gup.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* On success the folio has no references left. Folio lock held. */
bool __remove_mapping(address_space *mapping, folio *f)
{
	FRAME(__remove_mapping);
	BUG_ON(!f->lock.look_locked());
	BUG_ON(mapping != folio_mapping(f));

	mapping->host->i_lock.lock();
	mapping->i_pages.xa_lock.lock();
	/*
	 * References first, dirt second: who still has a reference could make the folio dirty and
	 * drop the reference in between, and the other order would miss both.
	 */
	const int refcount = 1 + static_cast<int>(folio_nr_pages(f));
	if (!folio_ref_freeze(f, refcount)) {
		mapping->i_pages.xa_lock.unlock();
		mapping->host->i_lock.unlock();
		return false;
	}
	if (folio_test_dirty(f)) {
		folio_ref_unfreeze(f, refcount);
		mapping->i_pages.xa_lock.unlock();
		mapping->host->i_lock.unlock();
		return false;
	}
	__filemap_remove_folio(f, nullptr);
	mapping->i_pages.xa_lock.unlock();
	mapping->host->i_lock.unlock();
	if (mapping->a_ops->free_folio != nullptr)
		mapping->a_ops->free_folio(f);
	return true;
}

/* Is it under writeback? Who keeps private data would be asked; none here has an answer of its own. */
bool folio_check_writeback(const folio *f)
{
	const bool writeback = folio_test_writeback(f);

	if (folio_test_private(f))
		folio_mapping(f);
	return writeback;
}

/* The folio is locked. True: it left its mapping, and has no references any more. */
bool shrink_folio(folio *f)
{
	folio_mapping(f); /* is it evictable? All mappings here are */
	/* Not reclaimed now, but the end of writeback will put it where it is reclaimed first. */
	if (folio_check_writeback(f)) {
		folio_set_reclaim(f);
		folio_set_active(f);
		return false;
	}
	if (folio_test_anon(f)) {
		folio_set_active(f);
		return false;
	}
	if (folio_mapped(f)) {
		unsigned flags = TTU_BATCH_FLUSH;
		if (folio_order(f) >= hpage_order())
			flags |= TTU_SPLIT_HUGE_PMD;
		try_to_unmap(f, flags);
		if (folio_mapped(f)) {
			folio_set_active(f);
			return false;
		}
	}
	/* Nobody can pin what is not mapped (gup.cc), but who did goes on storing to it: it is not worth
	 * the loss of its private data, for it would stay. */
	if (patched(Patch::kReclaimSkipsPinned) && folio_maybe_dma_pinned(f)) {
		folio_set_active(f);
		return false;
	}
	address_space *mapping = folio_mapping(f);
	/* Only kswapd writes file folios back. */
	if (folio_test_dirty(f)) {
		folio_set_reclaim(f);
		folio_set_active(f);
		return false;
	}
	if (folio_needs_release(f) && !filemap_release_folio(f, 0)) {
		folio_set_active(f);
		return false;
	}
	return mapping != nullptr && __remove_mapping(mapping, f);
}

void free_reclaimed(std::vector<folio *> *folios)
{
	try_to_unmap_flush();
	free_unref_folios(folios->data(), static_cast<unsigned>(folios->size()));
	folios->clear();
}

/* Isolated folios; what could not be reclaimed is left in the vector. */
unsigned long shrink_folio_list(std::vector<folio *> *folios)
{
	FRAME(shrink_folio_list);
	unsigned long reclaimed = 0;
	std::vector<folio *> kept, gone;

	for (folio *f : *folios) {
		if (!folio_trylock(f)) {
			kept.push_back(f);
			continue;
		}
		const bool removed = shrink_folio(f);
		folio_unlock(f);
		if (!removed) {
			kept.push_back(f);
			continue;
		}
		reclaimed += folio_nr_pages(f);
		gone.push_back(f);
		if (gone.size() == this_machine().geo.folio_batch)
			free_reclaimed(&gone);
	}
	free_reclaimed(&gone);
	*folios = kept;
	return reclaimed;
}

unsigned long reclaim_folio_list(std::vector<folio *> *folios)
{
	FRAME(reclaim_folio_list);
	const unsigned long reclaimed = shrink_folio_list(folios);
	for (folio *f : *folios)
		folio_putback_lru(f);
	folios->clear();
	return reclaimed;
}

} // namespace

unsigned long reclaim_pages(std::vector<folio *> *folios)
{
	FRAME(reclaim_pages);
	if (folios->empty())
		return 0;
	for (folio *f : *folios)
		folio_clear_active(f);
	return reclaim_folio_list(folios);
}

long remove_mapping(address_space *mapping, folio *f)
{
	FRAME(remove_mapping);
	if (!__remove_mapping(mapping, f))
		return 0;
	/* The cache's references went with the freeze; this is the caller's. */
	folio_ref_unfreeze(f, 1);
	return folio_nr_pages(f);
}

} // namespace kernel
