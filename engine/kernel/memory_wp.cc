// SPDX-License-Identifier: GPL-2.0-only
// Stores through mappings: what a shared one asks the filesystem first and tells the folio after,
// and what a write-protected entry becomes (mm/memory.c of 6.12).
//
// Left out: fork (an anonymous page is always exclusive), LRU for anonymous pages (nothing here
// reclaims them). Every filesystem here has ->page_mkwrite.
//
// Lock order: mmap_lock -> folio lock -> pmd_lock, ptl.
#include "engine/kernel/bug.h"
#include "engine/kernel/fault.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

void anon_vma_prepare(vm_area_struct *vma)
{
	if (vma->anon_vma_.read_once() != nullptr)
		return;
	vma->vm_mm->pmd_lock.lock();
	if (vma->anon_vma_.load() == nullptr)
		vma->anon_vma_.write_once(&vma->own_anon_vma);
	vma->vm_mm->pmd_lock.unlock();
}

folio *folio_prealloc()
{
	folio *f = folio_alloc(0);
	if (f != nullptr)
		f->flags.poke(PG_anon, true);
	return f;
}

/* ---- stores to shared mappings ---- */

unsigned do_page_mkwrite(vm_fault *vmf)
{
	FRAME(do_page_mkwrite);
	const unsigned ret = filemap_page_mkwrite(vmf);
	if ((ret & VM_FAULT_LOCKED) != 0)
		VM_BUG_ON_FOLIO(!vmf->page_folio->lock.look_locked(), vmf->page_folio);
	return ret;
}

unsigned fault_dirty_shared_page(vm_fault *vmf)
{
	FRAME(fault_dirty_shared_page);
	folio *f = vmf->page_folio;
	folio_mark_dirty(f);
	VM_BUG_ON_FOLIO(folio_test_anon(f), f);
	/* The mapping may be null after this, but who holds the VMA's file holds it too. */
	address_space *mapping = f->mapping.load();
	folio_unlock(f);
	if (mapping == nullptr)
		return 0;
	file *fpin = maybe_unlock_mmap_for_io(vmf, nullptr);
	balance_dirty_pages_ratelimited(mapping);
	if (fpin == nullptr)
		return 0;
	fput(fpin);
	return VM_FAULT_COMPLETED;
}

/* ---- stores to a write-protected entry ---- */

namespace
{

/* The entry becomes writable and dirty as it is. PTL held; dropped here. */
void wp_page_reuse(vm_fault *vmf, pte_table *table)
{
	FRAME(wp_page_reuse);
	pte_t entry = vmf->orig_pte;
	entry.bits |= PTE_YOUNG | PTE_DIRTY | PTE_WRITE;
	pte_offset(table, vmf->address)->write_once(entry);
	pte_unmap_unlock(table);
}

unsigned finish_mkwrite_fault(vm_fault *vmf)
{
	FRAME(finish_mkwrite_fault);
	pte_table *table = pte_offset_map_lock(vmf->vma->vm_mm, vmf->address);
	if (table == nullptr)
		return VM_FAULT_NOPAGE;
	if (!pte_same(pte_offset(table, vmf->address)->read_once(), vmf->orig_pte)) {
		pte_unmap_unlock(table);
		return VM_FAULT_NOPAGE;
	}
	wp_page_reuse(vmf, table);
	return 0;
}

/* PTL held; dropped here. */
unsigned wp_page_shared(vm_fault *vmf, pte_table *table)
{
	FRAME(wp_page_shared);
	folio *f = vmf->page_folio;
	folio_get(f);
	pte_unmap_unlock(table);
	const unsigned granted = do_page_mkwrite(vmf);
	if (granted == 0 || (granted & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) != 0) {
		folio_put(f);
		return granted;
	}
	const unsigned finished = finish_mkwrite_fault(vmf);
	if (finished != 0) {
		folio_unlock(f);
		folio_put(f);
		return finished;
	}
	const unsigned ret = fault_dirty_shared_page(vmf);
	folio_put(f);
	return ret;
}

/*
 * Replaces a page of the file by a private copy of it. The copy is made without locks; it counts
 * only if the entry is still the same then. The caller's reference keeps the old page.
 */
unsigned wp_page_copy(vm_fault *vmf)
{
	FRAME(wp_page_copy);
	folio *old = vmf->page_folio;
	anon_vma_prepare(vmf->vma);
	folio *copy = folio_prealloc();
	if (copy == nullptr) {
		folio_put(old);
		return VM_FAULT_OOM;
	}
	folio_copy_page(copy, 0, old, vmf->orig_pte.page);
	folio_set_uptodate(copy);

	folio *unused = copy;
	pte_table *table = pte_offset_map_lock(vmf->vma->vm_mm, vmf->address);
	if (table != nullptr) {
		TableEntry<pte_t> *entry = pte_offset(table, vmf->address);
		if (pte_same(entry->read_once(), vmf->orig_pte)) {
			/* Never both pages at once, on no CPU. */
			entry->xchg({});
			set_pte_range(vmf, table, copy, 0, 1, vmf->address);
			/* Only now: who sees the old page unmapped may take it. */
			folio_remove_rmap_ptes(old, 1);
			unused = old;
		}
		pte_unmap_unlock(table);
	}
	folio_put(unused);
	folio_put(old);
	return 0;
}

} // namespace

unsigned do_wp_page(vm_fault *vmf, pte_table *table)
{
	FRAME(do_wp_page);
	vmf->page_folio = vmf->orig_pte.f;
	if (vma_is_shared(vmf->vma))
		return wp_page_shared(vmf, table);
	if (folio_test_anon(vmf->page_folio)) {
		wp_page_reuse(vmf, table);
		return 0;
	}
	folio_get(vmf->page_folio);
	pte_unmap_unlock(table);
	return wp_page_copy(vmf);
}

} // namespace kernel
