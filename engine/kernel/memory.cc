// SPDX-License-Identifier: GPL-2.0-only
// Page faults on file mappings (mm/memory.c of 6.12); stores to entries that are there already are in
// memory_wp.cc, what makes a CPU fault is in user_access.cc.
//
// Left out: anonymous VMAs, swap, NUMA, userfaultfd, DAX and huge_fault, mm counters.
//
// Lock order: mmap_lock -> invalidate_lock -> folio lock -> pmd_lock, ptl.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/fault.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* ---- faults on an empty entry ---- */

/* ->fault, with a table at hand for what follows. The folio is referenced and locked. */
unsigned __do_fault(vm_fault *vmf)
{
	FRAME(__do_fault);
	TableEntry<pmd_t> *pmd = pmd_offset(vmf->vma->vm_mm, vmf->address);
	/* With a folio locked there must be no allocation that waits for writeback. */
	if (pmd_none(pmd->read_once()) && vmf->prealloc_pte == nullptr) {
		vmf->prealloc_pte = pte_alloc_one();
		if (vmf->prealloc_pte == nullptr)
			return VM_FAULT_OOM;
	}
	const unsigned ret = filesystem_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) == 0)
		VM_BUG_ON_FOLIO(!vmf->page_folio->lock.look_locked(), vmf->page_folio);
	return ret;
}

/*
 * Puts the result of __do_fault, or the private copy of it, into the page table; the reference goes
 * with it. VM_FAULT_NOPAGE: somebody else was there first.
 */
unsigned finish_fault(vm_fault *vmf)
{
	FRAME(finish_fault);
	mm_struct *mm = vmf->vma->vm_mm;
	const bool is_cow = vmf->write && !vma_is_shared(vmf->vma);
	folio *f = is_cow ? vmf->cow_folio : vmf->page_folio;
	const unsigned page = is_cow ? 0 : static_cast<unsigned>(vmf->pgoff - f->index.load());

	if (pmd_none(pmd_offset(mm, vmf->address)->read_once())) {
		if (folio_order(f) == hpage_order()) {
			const unsigned ret = do_set_pmd(vmf, f);
			if (ret != VM_FAULT_FALLBACK)
				return ret;
		}
		if (vmf->prealloc_pte == nullptr) {
			vmf->prealloc_pte = pte_alloc_one();
			if (vmf->prealloc_pte == nullptr)
				return VM_FAULT_OOM;
		}
		pmd_install(mm, vmf->address, &vmf->prealloc_pte);
	}
	pte_table *table = pte_offset_map_lock(mm, vmf->address);
	if (table == nullptr)
		return VM_FAULT_NOPAGE;
	unsigned ret = 0;
	if (pte_none(pte_offset(table, vmf->address)->read_once()))
		set_pte_range(vmf, table, f, page, 1, vmf->address);
	else
		ret = VM_FAULT_NOPAGE;
	pte_unmap_unlock(table);
	return ret;
}

/* Maps what the cache has around the address: an aligned window, inside the VMA and the table. */
unsigned do_fault_around(vm_fault *vmf)
{
	FRAME(do_fault_around);
	const vm_area_struct *vma = vmf->vma;
	const pgoff_t nr_pages = this_machine().geo.fault_around_pages;
	const pgoff_t pte_off = pte_index(vmf->address);
	const pgoff_t vma_off = vmf->pgoff - vma->vm_pgoff;
	const pgoff_t vma_pages = (vma->vm_end - vma->vm_start) / page_size();
	const pgoff_t from =
		std::max(pte_off / nr_pages * nr_pages, pte_off - std::min(pte_off, vma_off));
	const pgoff_t to = std::min({ from + nr_pages, pgoff_t{ hpage_pages() },
				      pte_off + vma_pages - vma_off }) -
			   1;

	if (pmd_none(pmd_offset(vma->vm_mm, vmf->address)->read_once())) {
		vmf->prealloc_pte = pte_alloc_one();
		if (vmf->prealloc_pte == nullptr)
			return VM_FAULT_OOM;
	}
	rcu_read_lock();
	const unsigned ret =
		filemap_map_pages(vmf, vmf->pgoff + from - pte_off, vmf->pgoff + to - pte_off);
	rcu_read_unlock();
	return ret;
}

unsigned do_read_fault(vm_fault *vmf)
{
	FRAME(do_read_fault);
	if (this_machine().geo.fault_around_pages > 1) {
		const unsigned ret = do_fault_around(vmf);
		if (ret != 0)
			return ret;
	}
	unsigned ret = __do_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) != 0)
		return ret;
	ret |= finish_fault(vmf);
	folio_unlock(vmf->page_folio);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) != 0)
		folio_put(vmf->page_folio);
	return ret;
}

/* A store to a private mapping: the process gets a copy, made under the folio lock. */
unsigned do_cow_fault(vm_fault *vmf)
{
	FRAME(do_cow_fault);
	anon_vma_prepare(vmf->vma);
	vmf->cow_folio = folio_prealloc();
	if (vmf->cow_folio == nullptr)
		return VM_FAULT_OOM;
	unsigned ret = __do_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) == 0) {
		folio *f = vmf->page_folio;
		folio_copy_page(vmf->cow_folio, 0, f,
				static_cast<unsigned>(vmf->pgoff - f->index.load()));
		folio_set_uptodate(vmf->cow_folio);
		ret |= finish_fault(vmf);
		folio_unlock(f);
		folio_put(f);
	}
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) != 0)
		folio_put(vmf->cow_folio);
	return ret;
}

unsigned do_shared_fault(vm_fault *vmf)
{
	FRAME(do_shared_fault);
	unsigned ret = __do_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) != 0)
		return ret;
	folio *f = vmf->page_folio;
	folio_unlock(f);
	const unsigned granted = do_page_mkwrite(vmf);
	if (granted == 0 || (granted & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) != 0) {
		folio_put(f);
		return granted;
	}
	ret |= finish_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) != 0) {
		folio_unlock(f);
		folio_put(f);
		return ret;
	}
	return ret | fault_dirty_shared_page(vmf);
}

unsigned do_fault(vm_fault *vmf)
{
	FRAME(do_fault);
	unsigned ret;
	if (!vmf->write)
		ret = do_read_fault(vmf);
	else if (!vma_is_shared(vmf->vma))
		ret = do_cow_fault(vmf);
	else
		ret = do_shared_fault(vmf);
	/* Never seen by anybody. */
	if (vmf->prealloc_pte != nullptr) {
		pte_free(vmf->prealloc_pte);
		vmf->prealloc_pte = nullptr;
	}
	return ret;
}

/* ---- which kind of fault it is ---- */

unsigned handle_pte_fault(vm_fault *vmf)
{
	FRAME(handle_pte_fault);
	mm_struct *mm = vmf->vma->vm_mm;
	pte_table *table = nullptr;
	if (!pmd_none(pmd_offset(mm, vmf->address)->read_once())) {
		table = pte_offset_map(mm, vmf->address);
		if (table == nullptr)
			return 0;
		vmf->orig_pte = pte_offset(table, vmf->address)->read_once();
		if (pte_none(vmf->orig_pte)) {
			pte_unmap(table);
			table = nullptr;
		}
	}
	if (table == nullptr)
		return do_fault(vmf);

	table->ptl.lock();
	TableEntry<pte_t> *entry = pte_offset(table, vmf->address);
	if (!pte_same(entry->read_once(), vmf->orig_pte)) {
		pte_unmap_unlock(table);
		return 0;
	}
	if (vmf->write && !pte_write(vmf->orig_pte))
		return do_wp_page(vmf, table);
	pte_t young = vmf->orig_pte;
	young.bits |= accessed_bits(vmf->write);
	if (!pte_same(young, vmf->orig_pte))
		entry->write_once(young);
	pte_unmap_unlock(table);
	return 0;
}

unsigned __handle_mm_fault(vm_fault *vmf)
{
	const pmd_t pmd = pmd_offset(vmf->vma->vm_mm, vmf->address)->read_once();
	if (pmd_trans_huge(pmd)) {
		/* A PMD is made writable by a store only; a later one goes page by page. */
		if (!vmf->write || (pmd.bits & PTE_WRITE) != 0)
			return 0;
		__split_huge_pmd(vmf->vma, vmf->address);
	}
	return handle_pte_fault(vmf);
}

} // namespace

/* Installs entries that must be empty. Read faults map read-only even if the VMA is writable:
 * the first store must be noticed. */
void set_pte_range(vm_fault *vmf, pte_table *table, folio *f, unsigned page, unsigned nr,
		   std::uint64_t address)
{
	std::uint32_t bits = PTE_PRESENT | PTE_YOUNG;
	if (vmf->write)
		bits |= PTE_DIRTY | PTE_WRITE;
	if (folio_test_anon(f))
		folio_add_new_anon_rmap(f);
	else
		folio_add_file_rmap_ptes(f, nr);
	for (unsigned i = 0; i < nr; ++i) {
		pte_offset(table, address + std::uint64_t{ i } * page_size())
			->write_once({ .f = f, .page = page + i, .bits = bits });
	}
}

/* At most once per system call or instruction, or two tasks might starve each other. */
file *maybe_unlock_mmap_for_io(vm_fault *vmf, file *fpin)
{
	if (fpin != nullptr || !vmf->allow_retry || vmf->mmap_lock_dropped)
		return fpin;
	fpin = vmf->vma->vm_file;
	get_file(fpin);
	vmf->vma->vm_mm->mmap_lock.up_read();
	vmf->mmap_lock_dropped = true;
	return fpin;
}

/*
 * Makes one page accessible, or finds that somebody else did. VM_FAULT_RETRY and
 * VM_FAULT_COMPLETED: mmap_lock was dropped, the VMA may be gone. Requires: mmap_lock shared and
 * the address in a VMA that allows the access. May sleep.
 */
unsigned handle_mm_fault(vm_fault *vmf)
{
	FRAME(handle_mm_fault);
	return __handle_mm_fault(vmf);
}

} // namespace kernel
