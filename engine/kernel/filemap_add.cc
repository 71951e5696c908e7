// SPDX-License-Identifier: GPL-2.0-only
// Putting folios into the page cache (mm/filemap.c of 6.12). A shadow entry that is in the place is
// handed to the caller and forgotten.
//
// Lock order: folio lock -> i_pages.xa_lock.
#include "engine/kernel/filemap.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"

namespace kernel
{

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

} // namespace kernel
