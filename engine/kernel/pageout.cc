// SPDX-License-Identifier: GPL-2.0-only
// MADV_PAGEOUT (madvise_cold_or_pageout_pte_range() and its callers, mm/madvise.c of 6.12): the
// pages that this mapping alone maps are isolated and handed to reclaim.
//
// A large folio that the range or the page table has only a part of is split first. Whether the
// pages were used lately does not matter: entries stay young, and reclaim does not look.
//
// Left out: MADV_COLD; anonymous pages, which have nowhere to go without swap.
//
// Locks: mmap_lock shared; pmd_lock or the table's lock, dropped around splits and reclaim, which
// take the folio's lock and i_mmap_rwsem.
#include <vector>

#include "engine/kernel/khugepaged.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/vmscan.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

using folio_list = std::vector<folio *>;

/* What a present entry of a file mapping maps; files have no special pages here. */
folio *vm_normal_folio(const pte_t &entry)
{
	FRAME(vm_normal_folio);
	return entry.f;
}

/* A lock that maps the folio is held. */
void isolate(folio *f, folio_list *isolated)
{
	folio_clear_referenced(f);
	if (folio_test_active(f))
		folio_set_workingset(f);
	if (folio_isolate_lru(f))
		isolated->push_back(f);
}

/* Nothing but the folio's references is held; a reference is taken for the while. */
int split_held_folio(folio *f)
{
	folio_lock(f);
	const int error = split_folio(f);
	folio_unlock(f);
	folio_put(f);
	return error;
}

/* True: the range holds a page table (now), or nothing. */
bool pageout_pmd_range(vm_area_struct *vma, std::uint64_t address, std::uint64_t next)
{
	mm_struct *mm = vma->vm_mm;
	TableEntry<pmd_t> *pmd = pmd_offset(mm, address);
	folio_list isolated;

	if (!pmd_trans_huge(pmd->read_once()))
		return true;
	mm->pmd_lock.lock();
	const pmd_t entry = pmd->read_once();
	if (!pmd_trans_huge(entry)) {
		mm->pmd_lock.unlock();
		return true;
	}
	folio *f = entry.huge;
	if (folio_mapcount(f) != 1) { /* somebody else needs it */
		mm->pmd_lock.unlock();
		return false;
	}
	if (next - address != pmd_size()) {
		folio_get(f);
		mm->pmd_lock.unlock();
		return split_held_folio(f) == 0;
	}
	isolate(f, &isolated);
	mm->pmd_lock.unlock();
	reclaim_pages(&isolated);
	return false;
}

/* How many entries from this one on map consecutive pages of the folio, within the range. */
unsigned folio_pte_batch(pte_table *table, std::uint64_t address, std::uint64_t next, pte_t first)
{
	unsigned nr = 1;
	for (address += page_size(); address != next; address += page_size(), ++nr) {
		const pte_t entry = pte_offset(table, address)->read_once();
		if (!pte_present(entry) || entry.f != first.f || entry.page != first.page + nr)
			break;
	}
	return nr;
}

void pageout_pte_range(vm_area_struct *vma, std::uint64_t address, std::uint64_t next)
{
	mm_struct *mm = vma->vm_mm;
	folio_list isolated;

	pte_table *table = pte_offset_map_lock(mm, address);
	if (table == nullptr)
		return;
	unsigned nr = 1;
	for (; table != nullptr && address != next; address += std::uint64_t{ nr } * page_size()) {
		nr = 1;
		const pte_t entry = pte_offset(table, address)->read_once();
		if (!pte_present(entry))
			continue;
		folio *f = vm_normal_folio(entry);
		if (folio_test_anon(f))
			continue;
		if (folio_test_large(f)) {
			nr = folio_pte_batch(table, address, next, entry);
			if (nr < folio_nr_pages(f)) {
				const bool alone =
					folio_mapcount(f) <= static_cast<int>(folio_nr_pages(f));
				if (!alone || !folio_trylock(f))
					continue;
				folio_get(f);
				pte_unmap_unlock(table);
				const int error = split_folio(f);
				folio_unlock(f);
				folio_put(f);
				table = pte_offset_map_lock(mm, address);
				if (error == 0)
					nr = 0; /* look again: it is unmapped */
				continue;
			}
		}
		if (!folio_test_lru(f) || folio_mapcount(f) != static_cast<int>(nr))
			continue;
		isolate(f, &isolated);
	}
	if (table != nullptr)
		pte_unmap_unlock(table);
	reclaim_pages(&isolated);
}

/* Within one PMD entry. */
void madvise_cold_or_pageout_pte_range(vm_area_struct *vma, std::uint64_t start, std::uint64_t end)
{
	FRAME(madvise_cold_or_pageout_pte_range);
	if (pageout_pmd_range(vma, start, end))
		pageout_pte_range(vma, start, end);
}

} // namespace

int madvise_pageout(vm_area_struct *vma, std::uint64_t start, std::uint64_t end)
{
	FRAME(madvise_pageout);
	lru_add_drain();
	for (std::uint64_t next; start != end; start = next) {
		next = pmd_addr_end(start, end);
		madvise_cold_or_pageout_pte_range(vma, start, next);
	}
	return 0;
}

} // namespace kernel
