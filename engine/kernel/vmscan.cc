// SPDX-License-Identifier: GPL-2.0-only
// Removal of one folio from its mapping (mm/vmscan.c of 6.12).
//
// Left out: everything that looks for folios to reclaim; swap cache; shadow entries.
//
// Lock order: folio lock -> i_lock -> i_pages.xa_lock.
#include "engine/kernel/vmscan.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
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

} // namespace

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
