// SPDX-License-Identifier: GPL-2.0-only
// Replacing one range of a file by a huge page as kernels before 6.4 do it (collapse_file of
// mm/khugepaged.c, 5.14 and 6.1): the references of every old folio are frozen and its slot is given
// to the huge page at once, which everybody can find from then on, locked and not uptodate. If a
// later folio does not come along, the slots are given back, one by one. Copying comes last.
//
//   lookup (RCU)                            collapse
//   1. load the slot                        a. freeze the references of the old folio
//   2. reference unless zero: look again    b. store the huge page to the slot
//   3. load the slot again                  c. of a failure: unfreeze, store the old folio back
//
// Up to 5.16 a huge page keeps one slot per page; later all of them become one entry at the end.
//
// Left out: as in collapse.cc; besides, page tables are taken away as in 6.12 (retract_page_tables(),
// where Linux took i_mmap_rwsem for write and tried mmap_lock), and a huge page that was not used is
// freed instead of being kept for the next range.
//
// Locks: as in collapse.cc. xa_lock is dropped between one folio and the next, both ways.
#include "engine/kernel/collapse.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* Requires: xa_lock held; held on success, else dropped. May sleep. */
scan_result replace_slots(collapse &c, folio *new_folio)
{
	for (pgoff_t index = c.start; index < c.end; ++index) {
		const scan_result result = take_folio_of_range(c, index);
		if (result != SCAN_SUCCEED)
			return result;
		xas_set(&c.xas, index);
		xas_store(&c.xas, new_folio);
		this_machine().watcher->folio_set_aside(*c.mapping->host, *c.folios.back(), true);
	}
	return SCAN_SUCCEED;
}

/*
 * xa_lock held. The slots have nodes, and those above them too: in Linux this needs no memory. Here
 * one leaf may be the whole tree; then it takes a node, and fails only if the run injects that.
 */
void join_slots(collapse &c, folio *new_folio)
{
	xas_set_order(&c.xas, c.start, hpage_order());
	xas_store(&c.xas, new_folio);
	VM_WARN_ON_ONCE(xas_error(&c.xas) != 0);
}

/* Nobody else can have a reference to the old folios. */
void copy_and_free_old_folios(collapse &c, folio *new_folio)
{
	unsigned page = 0;
	for (folio *f : c.folios) {
		folio_copy_page(new_folio, page++, f, 0);
		f->mapping.store(nullptr);
		this_machine().watcher->folio_set_aside(*c.mapping->host, *f, false);
		folio_ref_unfreeze(f, 1);
		folio_clear_active(f);
		folio_unlock(f);
		folio_put(f);
	}
}

/*
 * Gives the slots back, in ascending order: while the first folios are found again, the slots of the
 * others still lead to the huge page. Who found that sleeps until it is unlocked, and must look at
 * its mapping then. Takes xa_lock and drops it after every slot.
 */
void restore_slots(collapse &c, folio *new_folio)
{
	interleaf::Spinlock &xa_lock = c.mapping->i_pages.xa_lock;
	pgoff_t index = c.start;

	for (folio *f : c.folios) {
		xa_lock.lock();
		VM_BUG_ON_FOLIO(f->index.look() != index, f);
		/* The cache's and the isolation's. */
		folio_ref_unfreeze(f, 2);
		xas_set(&c.xas, index++);
		xas_store(&c.xas, f);
		this_machine().watcher->folio_set_aside(*c.mapping->host, *f, false);
		xa_lock.unlock();
		folio_unlock(f);
		folio_putback_lru(f);
	}
	new_folio->mapping.store(nullptr);
	folio_unlock(new_folio);
	folio_put(new_folio);
}

} // namespace

scan_result replace_while_walking(collapse &c, folio *new_folio, const collapse_control *cc)
{
	machine &m = this_machine();

	scan_result result = replace_slots(c, new_folio);
	if (result == SCAN_SUCCEED) {
		if (!patched(Patch::kNoPurge) && !count_thp_unless_written(c.mapping)) {
			result = SCAN_FAIL;
			filemap_nr_thps_dec(c.mapping);
		} else {
			vm_stat_add(m.stat.nr_file_thps, static_cast<long>(hpage_pages()));
			if (patched(Patch::kFolioTruncate))
				join_slots(c, new_folio);
		}
		c.mapping->i_pages.xa_lock.unlock();
	}
	if (patched(Patch::kUnmapByRmap))
		try_to_unmap_flush();
	if (result != SCAN_SUCCEED) {
		restore_slots(c, new_folio);
		return result;
	}

	copy_and_free_old_folios(c, new_folio);
	folio_set_uptodate(new_folio);
	folio_ref_add(new_folio, static_cast<int>(hpage_pages()) - 1);
	folio_add_lru(new_folio);
	retract_page_tables(c.mapping, c.start);
	folio_unlock(new_folio);
	return cc->is_khugepaged ? SCAN_SUCCEED : SCAN_PTE_MAPPED_HUGEPAGE;
}

} // namespace kernel
