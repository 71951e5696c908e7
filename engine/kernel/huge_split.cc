// SPDX-License-Identifier: GPL-2.0-only
// Splitting a large folio of a file into single pages (split_huge_page_to_list_to_order() and what
// is below it, mm/huge_memory.c of 6.12).
//
// The head stays the folio it was, with one page; its other pages become folios of their own, which
// get copies of their contents: nobody can look at those meanwhile, since the references are frozen
// and the folio is mapped by nobody.
//
// Left out: anonymous memory and shmem, orders between the PMD's and zero, splits of isolated
// folios (to a list), deferred splits.
//
// Locks: the folio's lock is held; i_mmap_rwsem shared, i_pages.xa_lock and lru_lock inside it.
#include <cstring>
#include <vector>

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* Do the cache and the caller's pin account for all references, but for those of page tables? */
bool can_split_folio(const folio *f)
{
	FRAME(can_split_folio);
	const int extra_pins = static_cast<int>(folio_nr_pages(f));
	return folio_mapcount(f) == folio_ref_count(f) - extra_pins - 1;
}

void unmap_folio(folio *f)
{
	FRAME(unmap_folio);
	unsigned flags = TTU_SYNC | TTU_BATCH_FLUSH;
	if (folio_order(f) >= hpage_order())
		flags |= TTU_SPLIT_HUGE_PMD;
	try_to_unmap(f, flags);
	try_to_unmap_flush();
}

/*
 * Page `i` of the frozen head as a folio: locked, with a reference for the cache and one for the
 * splitter. It can be found as soon as it is stored in the cache. lru_lock is held.
 */
folio *split_huge_page_tail(folio *head, unsigned i, address_space *mapping)
{
	FRAME(__split_huge_page_tail);
	folio *tail = new_folio(0);
	tail->lock.try_lock();
	for (const pageflags flag :
	     { PG_referenced, PG_uptodate, PG_dirty, PG_active, PG_workingset, PG_mappedtodisk }) {
		if (head->flags.look(flag))
			tail->flags.poke(flag, true);
	}
	tail->mapping.poke(mapping);
	tail->index.poke(head->index.look() + i);
	std::memcpy(tail->contents, head->contents + std::size_t{ i } * page_size(), page_size());
	folio_ref_add(tail, 1);
	lru_add_page_tail(head, tail);
	return tail;
}

/*
 * Cuts the frozen folio up. Pages at `end` and beyond lie behind the end of the file and leave the
 * cache. xa_lock is held, and dropped. The new folios, locked, with the splitter's reference.
 */
std::vector<folio *> split_huge_page(address_space *mapping, folio *head, pgoff_t end)
{
	FRAME(__split_huge_page);
	const unsigned nr = folio_nr_pages(head);
	const pgoff_t index = head->index.look();
	std::vector<folio *> tails;
	tails.reserve(nr);

	folio_lruvec_lock();
	for (unsigned i = nr - 1; i > 0; --i) {
		folio *tail = split_huge_page_tail(head, i, mapping);
		tails.push_back(tail);
		xa_state xas(&mapping->i_pages, index + i);
		xas_store(&xas, tail);
		if (index + i < end)
			continue;
		if (folio_test_clear_dirty_flag(tail))
			folio_account_cleaned(tail);
		__filemap_remove_folio(tail, nullptr);
		folio_put(tail);
	}
	folio_become_single(head);
	unlock_page_lruvec();
	folio_ref_unfreeze(head, 2);
	mapping->i_pages.xa_lock.unlock();
	return tails;
}

/* The large folio becomes small ones, or stays: -EAGAIN. i_mmap_rwsem is held. */
int try_to_split(address_space *mapping, folio *f, xa_state *xas, pgoff_t end,
		 std::vector<folio *> *tails)
{
	const unsigned order = folio_order(f);
	const int nr = static_cast<int>(folio_nr_pages(f));

	if (!can_split_folio(f))
		return -EAGAIN;
	unmap_folio(f);
	mapping->i_pages.xa_lock.lock();
	/* Was it taken out of the cache, or has somebody got a reference? */
	xas_reset(xas);
	if (xas_load(xas) != f || !folio_ref_freeze(f, 1 + nr)) {
		mapping->i_pages.xa_lock.unlock();
		return -EAGAIN;
	}
	if (patched(Patch::kFolioTruncate))
		xas_split(xas, f, order);
	if (order >= hpage_order()) {
		vm_stat_add(this_machine().stat.nr_file_thps, -nr);
		if (patched(Patch::kSplitCountsThp))
			filemap_nr_thps_dec(mapping);
	}
	*tails = split_huge_page(mapping, f, end);
	return 0;
}

} // namespace

int split_folio(folio *f)
{
	FRAME(split_huge_page_to_list_to_order);
	VM_BUG_ON_FOLIO(!f->lock.held_by_me(), f);
	VM_BUG_ON_FOLIO(!folio_test_large(f), f);

	if (folio_test_writeback(f))
		return -EBUSY;
	address_space *mapping = f->mapping.load();
	if (mapping == nullptr)
		return -EBUSY;
	if (!filemap_release_folio(f, 0))
		return -EBUSY;

	xa_state xas(&mapping->i_pages, f->index.load());
	if (patched(Patch::kFolioTruncate)) {
		xas_split_alloc(&xas, f, folio_order(f));
		if (xas_error(&xas) != 0)
			return xas_error(&xas);
	}
	i_mmap_lock_read(mapping);
	/* It may change any time; whoever makes the file shorter waits for the folio's lock before
	 * he takes pages away. */
	const auto size = static_cast<pgoff_t>(i_size_read(mapping->host));
	std::vector<folio *> tails;
	const int error =
		try_to_split(mapping, f, &xas, (size + page_size() - 1) / page_size(), &tails);
	i_mmap_unlock_read(mapping);
	xas_destroy(&xas);
	for (folio *tail : tails) {
		folio_unlock(tail);
		folio_put(tail);
	}
	return error;
}

} // namespace kernel
