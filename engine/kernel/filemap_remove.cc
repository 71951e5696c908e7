// SPDX-License-Identifier: GPL-2.0-only
// Taking folios out of the page cache, one or a batch (mm/filemap.c of 6.12).
//
// Lock order: folio lock -> i_lock -> i_pages.xa_lock.
#include "engine/kernel/filemap.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

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

} // namespace kernel
