// SPDX-License-Identifier: GPL-2.0-only
// Page tables over a collapsed range (mm/khugepaged.c of 6.12): taken away by whoever collapsed the
// range, or replaced by a PMD entry.
//
// Left out: userfaultfd, MMU notifiers.
//
// Locks: mmap_lock or i_mmap_rwsem, the folio's lock, pmd_lock and the table's lock inside them.
#include "engine/kernel/bug.h"
#include "engine/kernel/khugepaged.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* What the PMD entry is now; SCAN_SUCCEED: a page table. */
scan_result find_pmd_or_thp_or_none(mm_struct *mm, std::uint64_t address)
{
	const pmd_t pmd = READ_ONCE(*pmd_offset(mm, address));
	if (pmd_none(pmd))
		return SCAN_PMD_NONE;
	return pmd_trans_huge(pmd) ? SCAN_PMD_MAPPED : SCAN_SUCCEED;
}

/* Empties the entry. Requires: pmd_lock and the lock of the table. */
pte_table *pmdp_collapse_flush(mm_struct *mm, std::uint64_t address)
{
	return pmd_offset(mm, address)->xchg({}).table;
}

/* The VMA's page table for the range is empty and stays so while the new folio is locked, unless
 * the VMA has private copies: take it away. */
void retract_page_table(vm_area_struct *vma, std::uint64_t address)
{
	mm_struct *mm = vma->vm_mm;
	pte_table *detached = nullptr;

	mm->pmd_lock.lock();
	pte_table *table = pmd_offset(mm, address)->load().table;
	table->ptl.lock();
	/* Without mmap_lock a first private copy may have come since. */
	if (vma->anon_vma_.load() == nullptr)
		detached = pmdp_collapse_flush(mm, address);
	table->ptl.unlock();
	mm->pmd_lock.unlock();
	if (detached != nullptr)
		pte_free_defer(detached);
}

} // namespace

/*
 * Removes the page tables under the range from all address spaces, so that the next fault maps the
 * huge page. Requires: the new folio locked. Takes i_mmap_rwsem shared, pmd_lock, page table locks.
 */
void retract_page_tables(address_space *mapping, pgoff_t pgoff)
{
	FRAME(retract_page_tables);

	i_mmap_lock_read(mapping);
	for (vm_area_struct *vma : mapping->i_mmap) {
		const pgoff_t pages = (vma->vm_end - vma->vm_start) / page_size();
		if (pgoff < vma->vm_pgoff || pgoff >= vma->vm_pgoff + pages)
			continue;
		/* Private copies: the range would soon be split again. */
		if (READ_ONCE(vma->anon_vma_) != nullptr)
			continue;
		const std::uint64_t address = vma->vm_start + (pgoff - vma->vm_pgoff) * page_size();
		if (address % pmd_size() != 0 || vma->vm_end < address + pmd_size())
			continue;
		if (find_pmd_or_thp_or_none(vma->vm_mm, address) != SCAN_SUCCEED)
			continue;
		if (hpage_collapse_test_exit(vma->vm_mm))
			continue;
		retract_page_table(vma, address);
	}
	i_mmap_unlock_read(mapping);
}

namespace
{

/* A present PTE must be the i-th page of the huge folio; private copies are not. */
scan_result check_pte(pte_t pte, const folio *f, unsigned i)
{
	if (!pte_present(pte))
		return SCAN_PTE_NON_PRESENT;
	return pte.f == f && pte.page == i ? SCAN_SUCCEED : SCAN_FAIL;
}

scan_result check_ptes(mm_struct *mm, std::uint64_t haddr, const folio *f)
{
	pte_table *table = pte_offset_map_lock(mm, haddr);
	if (table == nullptr)
		return SCAN_FAIL;
	scan_result result = SCAN_SUCCEED;
	for (unsigned i = 0; i < hpage_pages() && result == SCAN_SUCCEED; ++i) {
		const pte_t pte = table->ptes[i].load();
		if (!pte_none(pte))
			result = check_pte(pte, f, i);
	}
	pte_unmap_unlock(table);
	return result;
}

/*
 * Unmaps the pages of the huge folio one by one and removes the table. Its dirty bits are not
 * looked at: nobody can write to such a file. Requires: the folio's lock, which keeps new entries
 * of the folio away, but not private copies made of old ones.
 */
scan_result remove_pte_table(mm_struct *mm, std::uint64_t haddr, folio *f)
{
	scan_result result = SCAN_SUCCEED;
	int removed = 0;

	pte_table *table = pte_offset_map(mm, haddr);
	if (table == nullptr)
		return SCAN_FAIL;
	table->ptl.lock();
	for (unsigned i = 0; i < hpage_pages(); ++i) {
		const pte_t pte = table->ptes[i].load();
		if (pte_none(pte))
			continue;
		result = check_pte(pte, f, i);
		if (result != SCAN_SUCCEED)
			break;
		table->ptes[i].store({});
		folio_remove_rmap_ptes(f, 1);
		++removed;
	}
	if (result != SCAN_SUCCEED && removed != 0)
		folio_put_refs(f, removed);
	table->ptl.unlock();
	pte_unmap(table);
	if (result != SCAN_SUCCEED)
		return result;
	if (removed != 0)
		folio_put_refs(f, removed);

	/* The other way round from above, hence the gap. */
	mm->pmd_lock.lock();
	table->ptl.lock();
	pte_table *detached = pmdp_collapse_flush(mm, haddr);
	table->ptl.unlock();
	mm->pmd_lock.unlock();
	pte_free_defer(detached);
	return SCAN_SUCCEED;
}

/* Maps the folio by the empty PMD entry; the entry's reference is its own. */
scan_result set_huge_pmd(vm_area_struct *vma, std::uint64_t haddr, folio *f)
{
	vm_fault vmf{ .vma = vma, .address = haddr, .pgoff = linear_page_index(vma, haddr) };
	if (do_set_pmd(&vmf, f) != 0)
		return SCAN_FAIL;
	folio_get(f);
	return SCAN_SUCCEED;
}

/* The folio is locked. */
scan_result replace_ptes(vm_area_struct *vma, std::uint64_t haddr, folio *f, bool install_pmd)
{
	if (folio_order(f) != hpage_order())
		return SCAN_PAGE_COMPOUND;

	mm_struct *mm = vma->vm_mm;
	scan_result result = find_pmd_or_thp_or_none(mm, haddr);
	if (result == SCAN_SUCCEED) {
		result = check_ptes(mm, haddr, f);
		if (result != SCAN_SUCCEED)
			return result;
		result = remove_pte_table(mm, haddr, f);
		if (result != SCAN_SUCCEED)
			return result;
	} else if (result != SCAN_PMD_NONE) {
		return result;
	}
	return install_pmd ? set_huge_pmd(vma, haddr, f) : SCAN_SUCCEED;
}

} // namespace

/*
 * A huge folio is in the cache, mapped by PTEs or not at all: map it by a PMD entry, or (for
 * khugepaged) at least make way for one. Requires: mmap_lock. May sleep.
 */
scan_result collapse_pte_mapped_thp(mm_struct *mm, std::uint64_t address, bool install_pmd)
{
	FRAME(collapse_pte_mapped_thp);
	const std::uint64_t haddr = address / pmd_size() * pmd_size();
	vm_area_struct *vma = vma_lookup(mm, haddr);

	BUG_ON(!mm->mmap_lock.look_locked());
	if (vma == nullptr || vma->vm_file == nullptr || haddr + pmd_size() > vma->vm_end)
		return SCAN_VMA_CHECK;
	/* Before the folio lock, which it may spare. */
	if (find_pmd_or_thp_or_none(mm, haddr) == SCAN_PMD_MAPPED)
		return SCAN_PMD_MAPPED;
	if (!thp_vma_allowable(vma, false))
		return SCAN_VMA_CHECK;

	folio *f = filemap_lock_folio(vma->vm_file->f_mapping, linear_page_index(vma, haddr));
	if (IS_ERR_OR_NULL(f))
		return SCAN_PAGE_NULL;
	const scan_result result = replace_ptes(vma, haddr, f, install_pmd);
	folio_unlock(f);
	folio_put(f);
	return result;
}

} // namespace kernel
