// SPDX-License-Identifier: GPL-2.0-only
// Taking pages out of page tables (mm/memory.c, mm/mmu_gather.c, mm/huge_memory.c of 6.12).
//
// Left out: swap, migration and marker entries, hugetlb, batching of consecutive entries of one
// folio, mmu notifiers. Pages stay gathered until the whole range is done; Linux flushes earlier
// when its batch is full.
//
// Lock order: mmap_lock -> i_mmap_rwsem -> pmd_lock or ptl -> i_pages.xa_lock (folio_mark_dirty).
#include <algorithm>
#include <cstdint>

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

bool should_zap_folio(const zap_details *details, const folio *f)
{
	return details == nullptr || details->even_cows || !folio_test_anon(f);
}

/*
 * The entry's dirt goes to the folio before the folio stops being mapped (I17). A dirty file page
 * stays counted as mapped until its translation is gone, so that a folio_mkclean() that sees it
 * unmapped can trust that nobody writes to it any more. PTL held.
 */
void zap_present_folio_pte(mmu_gather *tlb, TableEntry<pte_t> *entry, folio *f)
{
	const pte_t old = entry->xchg({});
	bool delay_rmap = false;
	if (!folio_test_anon(f)) {
		if (pte_dirty(old)) {
			folio_mark_dirty(f);
			delay_rmap = true;
		}
		if (pte_young(old))
			folio_mark_accessed(f);
	}
	if (delay_rmap)
		tlb->rmaps.push_back(f);
	else
		folio_remove_rmap_ptes(f, 1);
	tlb->folios.push_back(f);
}

/* Returns where it stopped: at once if there is no table (any more). */
std::uint64_t zap_pte_range(mmu_gather *tlb, vm_area_struct *vma, std::uint64_t address,
			    std::uint64_t end, const zap_details *details)
{
	FRAME(zap_pte_range);
	pte_table *table = pte_offset_map_lock(vma->vm_mm, address);
	if (table == nullptr)
		return address;
	for (; address != end; address += page_size()) {
		TableEntry<pte_t> *entry = pte_offset(table, address);
		const pte_t pte = entry->read_once();
		if (!pte_none(pte) && should_zap_folio(details, pte.f))
			zap_present_folio_pte(tlb, entry, pte.f);
	}
	for (folio *f : tlb->rmaps)
		folio_remove_rmap_ptes(f, 1);
	tlb->rmaps.clear();
	pte_unmap_unlock(table);
	return end;
}

/* False if the entry was not huge under the lock. */
bool zap_huge_pmd(mmu_gather *tlb, vm_area_struct *vma, TableEntry<pmd_t> *pmd)
{
	FRAME(zap_huge_pmd);
	interleaf::Spinlock &lock = vma->vm_mm->pmd_lock;
	lock.lock();
	if (!pmd_trans_huge(pmd->read_once())) {
		lock.unlock();
		return false;
	}
	const pmd_t old = pmd->xchg({});
	if ((old.bits & PTE_DIRTY) != 0 && patched(Patch::kZapKeepsPmdDirt))
		folio_mark_dirty(old.huge);
	folio_remove_rmap_pmd(old.huge);
	if ((old.bits & PTE_YOUNG) != 0)
		folio_mark_accessed(old.huge);
	lock.unlock();
	tlb->folios.push_back(old.huge);
	return true;
}

void zap_pmd(mmu_gather *tlb, vm_area_struct *vma, std::uint64_t address, std::uint64_t next,
	     const zap_details *details)
{
	TableEntry<pmd_t> *pmd = pmd_offset(vma->vm_mm, address);
	while (address != next) {
		const pmd_t entry = pmd->read_once();
		if (pmd_trans_huge(entry)) {
			if (next - address != pmd_size())
				__split_huge_pmd(vma, address);
			else if (zap_huge_pmd(tlb, vma, pmd))
				return;
			/* It changed or was split: look at what is there now. */
		} else if (details != nullptr && details->single_folio != nullptr &&
			   folio_order(details->single_folio) == hpage_order() &&
			   next - address == pmd_size() && pmd_none(entry)) {
			/* Another zap may have cleared the entry and not yet dropped the mapping
			 * from the folio's count; it does both under this lock. */
			vma->vm_mm->pmd_lock.lock();
			vma->vm_mm->pmd_lock.unlock();
		}
		if (pmd_none(pmd->read_once()))
			return;
		address = zap_pte_range(tlb, vma, address, next, details);
	}
}

void zap_page_range_single(vm_area_struct *vma, std::uint64_t start, std::uint64_t end,
			   const zap_details *details)
{
	FRAME(zap_page_range_single);
	mmu_gather tlb;
	lru_add_drain();
	unmap_page_range(&tlb, vma, start, end, details);
	tlb_finish_mmu(&tlb);
}

/* Pages [first, last] of the file. i_mmap_rwsem held. */
void unmap_mapping_range_tree(address_space *mapping, pgoff_t first, pgoff_t last,
			      const zap_details *details)
{
	for (vm_area_struct *vma : mapping->i_mmap) {
		const pgoff_t vba = vma->vm_pgoff;
		const pgoff_t vea = vba + (vma->vm_end - vma->vm_start) / page_size() - 1;
		const pgoff_t zba = std::max(first, vba);
		const pgoff_t zea = std::min(last, vea);
		if (zba > zea)
			continue;
		zap_page_range_single(vma, vma->vm_start + (zba - vba) * page_size(),
				      vma->vm_start + (zea - vba + 1) * page_size(), details);
	}
}

} // namespace

/* Drops the references; may free folios. No locks needed, none of the gathered entries' held. */
void tlb_finish_mmu(mmu_gather *tlb)
{
	if (!tlb->folios.empty())
		lru_add_drain();
	if (!tlb->folios.empty())
		folios_put_refs(tlb->folios.data(), static_cast<unsigned>(tlb->folios.size()));
	tlb->folios.clear();
	for (pte_table *table : tlb->tables)
		pte_free_defer(table);
	tlb->tables.clear();
}

void unmap_page_range(mmu_gather *tlb, vm_area_struct *vma, std::uint64_t start, std::uint64_t end,
		      const zap_details *details)
{
	FRAME(unmap_page_range);
	for (std::uint64_t address = start; address < end;) {
		const std::uint64_t next = pmd_addr_end(address, end);
		zap_pmd(tlb, vma, address, next, details);
		address = next;
	}
}

void zap_page_range(vm_area_struct *vma, std::uint64_t start, std::uint64_t end, bool even_cows)
{
	const zap_details details{ .even_cows = even_cows };
	zap_page_range_single(vma, start, end, &details);
}

/* Pages [start, start + nr) of the file; nr 0: to the end. Takes i_mmap_rwsem shared; may sleep. */
void unmap_mapping_pages(address_space *mapping, pgoff_t start, pgoff_t nr, bool even_cows)
{
	FRAME(unmap_mapping_pages);
	const zap_details details{ .even_cows = even_cows };
	pgoff_t last = start + nr - 1;
	if (last < start || nr == 0)
		last = UINT64_MAX;
	i_mmap_lock_read(mapping);
	unmap_mapping_range_tree(mapping, start, last, &details);
	i_mmap_unlock_read(mapping);
}

/* Bytes [start, start + len), len 0: to the end. A page that is covered in part is unmapped. */
void unmap_mapping_range(address_space *mapping, loff_t start, loff_t len, bool even_cows)
{
	FRAME(unmap_mapping_range);
	const auto first = static_cast<pgoff_t>(start) >> page_shift();
	const pgoff_t nr = (static_cast<pgoff_t>(len) + page_size() - 1) >> page_shift();
	unmap_mapping_pages(mapping, first, nr, even_cows);
}

/*
 * Unmaps one folio from everywhere; on return it is not mapped, and nobody can map it while its
 * lock is held. Anonymous copies stay.
 */
void unmap_mapping_folio(folio *f)
{
	FRAME(unmap_mapping_folio);
	VM_BUG_ON_FOLIO(!f->lock.look_locked(), f);
	address_space *mapping = f->mapping.load();
	const pgoff_t first = f->index.load();
	const zap_details details{ .single_folio = f, .even_cows = false };
	i_mmap_lock_read(mapping);
	unmap_mapping_range_tree(mapping, first, first + folio_nr_pages(f) - 1, &details);
	i_mmap_unlock_read(mapping);
}

} // namespace kernel
