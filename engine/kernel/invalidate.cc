// SPDX-License-Identifier: GPL-2.0-only
// Taking folios out of the page cache that are clean: invalidation and eviction (mm/truncate.c of
// 6.12; truncation itself is truncate.cc).
//
// Left out: DAX, shmem, deactivation of folios that could not be evicted.
//
// Lock order: folio lock -> i_mmap_rwsem (unmapping); folio lock -> i_lock -> i_pages.xa_lock.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/vmscan.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* Removes the value entries of a batch from the mapping, but not from the batch. May not sleep. */
void clear_shadow_entries(address_space *mapping, const folio_batch *fbatch, const pgoff_t *indices)
{
	if (std::none_of(fbatch->folios, fbatch->folios + fbatch->nr,
			 [](folio *entry) { return xa_is_value(entry); }))
		return;
	FRAME(clear_shadow_entries);
	mapping->host->i_lock.lock();
	mapping->i_pages.xa_lock.lock();
	for (unsigned i = 0; i < fbatch->nr; i++) {
		if (!xa_is_value(fbatch->folios[i]))
			continue;
		xa_state xas(&mapping->i_pages, indices[i]);
		if (xas_load(&xas) == fbatch->folios[i])
			xas_store(&xas, nullptr);
	}
	mapping->i_pages.xa_lock.unlock();
	mapping->host->i_lock.unlock();
}

/* Folio lock held. 0, or what ->launder_folio says. */
int folio_launder(address_space *mapping, folio *f)
{
	if (!folio_test_dirty(f))
		return 0;
	if (f->mapping.load() != mapping || mapping->a_ops->launder_folio == nullptr)
		return 0;
	return mapping->a_ops->launder_folio(f);
}

/*
 * Takes an unmapped folio out of the cache unless somebody made it dirty meanwhile. Folio lock
 * held. True if it is gone. Unlike reclaim it does not care who else has references.
 */
bool invalidate_complete_folio2(address_space *mapping, folio *f)
{
	FRAME(invalidate_complete_folio2);
	if (f->mapping.load() != mapping)
		return false;
	if (!filemap_release_folio(f, 0))
		return false;

	mapping->host->i_lock.lock();
	mapping->i_pages.xa_lock.lock();
	if (folio_test_dirty(f)) {
		mapping->i_pages.xa_lock.unlock();
		mapping->host->i_lock.unlock();
		return false;
	}
	BUG_ON(f->flags.look(PG_private));
	__filemap_remove_folio(f, nullptr);
	mapping->i_pages.xa_lock.unlock();
	mapping->host->i_lock.unlock();

	filemap_free_folio(mapping, f);
	return true;
}

} // namespace

/*
 * Evicts one folio that nobody uses: clean, not under writeback, no references but the cache's,
 * the caller's and the private data's. Folio lock held; may sleep. Number of pages evicted.
 */
long mapping_evict_folio(address_space *mapping, folio *f)
{
	FRAME(mapping_evict_folio);
	if (mapping == nullptr)
		return 0;
	if (folio_test_dirty(f) || folio_test_writeback(f))
		return 0;
	const int nr_pages = static_cast<int>(folio_nr_pages(f));
	if (folio_ref_count(f) > nr_pages + (folio_test_private(f) ? 1 : 0) + 1)
		return 0;
	if (!filemap_release_folio(f, 0))
		return 0;
	return remove_mapping(mapping, f);
}

/*
 * Evicts what can be evicted of the pages [start, end] without waiting for anything: no dirty, no
 * locked, no mapped folio. May sleep in ->release_folio. Number of entries that went; *nr_failed
 * is increased by that of folios that could not.
 */
unsigned long mapping_try_invalidate(address_space *mapping, pgoff_t start, pgoff_t end,
				     unsigned long *nr_failed)
{
	FRAME(mapping_try_invalidate);
	folio_batch fbatch;
	pgoff_t indices[folio_batch::kMax];
	unsigned long count = 0;
	pgoff_t index = start;
	while (find_lock_entries(mapping, &index, end, &fbatch, indices) != 0) {
		for (unsigned i = 0; i < fbatch.nr; i++) {
			folio *f = fbatch.folios[i];
			/* Linux 6.12 counts a shadow as one, however large. */
			if (xa_is_value(f)) {
				count++;
				continue;
			}
			const long evicted = mapping_evict_folio(mapping, f);
			folio_unlock(f);
			if (evicted == 0 && nr_failed != nullptr)
				++*nr_failed;
			count += static_cast<unsigned long>(evicted);
		}
		clear_shadow_entries(mapping, &fbatch, indices);
		folio_batch_remove_exceptionals(&fbatch);
		folio_batch_release(&fbatch);
	}
	return count;
}

unsigned long invalidate_mapping_pages(address_space *mapping, pgoff_t start, pgoff_t end)
{
	return mapping_try_invalidate(mapping, start, end, nullptr);
}

/*
 * Removes the pages [start, end] from the cache, waiting for locks and writeback and unmapping what
 * is mapped, but never a dirty folio. May sleep. -EBUSY if something had to stay.
 */
int invalidate_inode_pages2_range(address_space *mapping, pgoff_t start, pgoff_t end)
{
	FRAME(invalidate_inode_pages2_range);
	if (mapping_empty(mapping))
		return 0;

	folio_batch fbatch;
	pgoff_t indices[folio_batch::kMax];
	int ret = 0;
	bool did_range_unmap = false;
	pgoff_t index = start;
	while (find_get_entries(mapping, &index, end, &fbatch, indices) != 0) {
		for (unsigned i = 0; i < fbatch.nr; i++) {
			folio *f = fbatch.folios[i];
			if (xa_is_value(f))
				continue;
			/* Before the first lock: the rest of the range in one go. */
			if (!did_range_unmap && folio_mapped(f)) {
				unmap_mapping_pages(mapping, indices[i], 1 + end - indices[i],
						    false);
				did_range_unmap = true;
			}
			folio_lock(f);
			if (f->mapping.load() != mapping) {
				folio_unlock(f);
				continue;
			}
			VM_BUG_ON_FOLIO(!folio_contains(f, indices[i]), f);
			folio_wait_writeback(f);
			if (folio_mapped(f))
				unmap_mapping_folio(f);
			BUG_ON(f->_mapcount.look() != 0);

			int error = folio_launder(mapping, f);
			if (error == 0 && !invalidate_complete_folio2(mapping, f))
				error = -EBUSY;
			if (error < 0)
				ret = error;
			folio_unlock(f);
		}
		clear_shadow_entries(mapping, &fbatch, indices);
		folio_batch_remove_exceptionals(&fbatch);
		folio_batch_release(&fbatch);
	}
	return ret;
}

int invalidate_inode_pages2(address_space *mapping)
{
	FRAME(invalidate_inode_pages2);
	return invalidate_inode_pages2_range(mapping, 0, ~pgoff_t{ 0 });
}

} // namespace kernel
