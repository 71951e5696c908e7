// SPDX-License-Identifier: GPL-2.0-only
// Page faults on file mappings: finding or reading the folio, mapping what surrounds it, and asking
// the filesystem before a page becomes writable (mm/filemap.c of 6.12).
//
// Left out: the counting of mmap misses (a fault that misses always reads around), MADV_RANDOM and
// MADV_SEQUENTIAL, fsnotify, killable and no-wait locking, hardware poison, file times, freezing.
//
// Lock order: mmap_lock -> invalidate_lock -> folio lock -> ptl. A fault that has to wait for I/O
// drops mmap_lock once, pins the file instead, and is repeated.
#include <algorithm>

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

/* The first index behind the end of the file. */
pgoff_t max_index(const inode *node)
{
	const auto size = static_cast<pgoff_t>(i_size_read(node));
	return (size + page_size() - 1) >> page_shift();
}

/* The folio is not there: reads it with what surrounds it. Returns the pinned file if mmap_lock
 * was dropped. */
file *do_sync_mmap_readahead(vm_fault *vmf)
{
	FRAME(do_sync_mmap_readahead);
	file *f = vmf->vma->vm_file;
	file_ra_state *ra = &f->f_ra;
	readahead_control ractl{ f, f->f_mapping, vmf->pgoff, 0, 0 };

	if ((vmf->vma->vm_flags & VM_HUGEPAGE) != 0) {
		file *fpin = maybe_unlock_mmap_for_io(vmf, nullptr);
		ractl.index &= ~pgoff_t{ hpage_pages() - 1 };
		touch_ra_state(ra);
		ra->start = ractl.index;
		/* Two of them: there is something to read ahead. */
		ra->size = 2 * hpage_pages();
		ra->async_size = hpage_pages();
		page_cache_ra_order(&ractl, ra);
		return fpin;
	}
	touch_ra_state(ra);
	if (ra->ra_pages == 0)
		return nullptr;
	file *fpin = maybe_unlock_mmap_for_io(vmf, nullptr);
	touch_ra_state(ra);
	ra->start = vmf->pgoff - std::min<pgoff_t>(vmf->pgoff, ra->ra_pages / 2);
	ra->size = ra->ra_pages;
	ra->async_size = ra->ra_pages / 4;
	ractl.index = ra->start;
	page_cache_ra_order(&ractl, ra);
	return fpin;
}

/* The folio is there: starts reading ahead if it carries the mark. */
file *do_async_mmap_readahead(vm_fault *vmf, folio *fo)
{
	file *f = vmf->vma->vm_file;
	touch_ra_state(&f->f_ra);
	if (f->f_ra.ra_pages == 0 || !folio_test_readahead(fo))
		return nullptr;
	file *fpin = maybe_unlock_mmap_for_io(vmf, nullptr);
	touch_ra_state(&f->f_ra);
	page_cache_async_readahead(f->f_mapping, &f->f_ra, f, fo, f->f_ra.ra_pages);
	return fpin;
}

void lock_folio_maybe_drop_mmap(vm_fault *vmf, folio *f, file **fpin)
{
	if (folio_trylock(f))
		return;
	*fpin = maybe_unlock_mmap_for_io(vmf, *fpin);
	FRAME(__folio_lock_killable);
	folio_lock(f);
}

/* The next folio up to `end` that can be mapped as it is: referenced and locked, in the cache,
 * uptodate, inside the file. Never waits. RCU. */
folio *next_uptodate_folio(xa_state *xas, address_space *mapping, pgoff_t end)
{
	FRAME(next_uptodate_folio);
	for (void *entry = xas_next_entry(xas, end); entry != nullptr;
	     entry = xas_next_entry(xas, end)) {
		if (xas_retry(xas, entry) || xa_is_value(entry))
			continue;
		auto *f = static_cast<folio *>(entry);
		if (folio_test_locked(f))
			continue;
		if (!folio_try_get(f))
			continue;
		if (xas_reload(xas) == f && folio_test_uptodate(f) && !folio_test_readahead(f) &&
		    folio_trylock(f)) {
			if (f->mapping.load() == mapping && folio_test_uptodate(f) &&
			    xas->xa_index < max_index(mapping->host))
				return f;
			folio_unlock(f);
		}
		folio_put(f);
	}
	return nullptr;
}

/* True if a huge entry serves the fault now; the folio's lock and reference are then gone.
 * Otherwise there is a table, unless it vanishes again. */
bool filemap_map_pmd(vm_fault *vmf, folio *f)
{
	mm_struct *mm = vmf->vma->vm_mm;
	TableEntry<pmd_t> *pmd = pmd_offset(mm, vmf->address);

	const pmd_t entry = pmd->read_once();
	if (pmd_trans_huge(entry)) {
		folio_unlock(f);
		folio_put(f);
		return true;
	}
	if (pmd_none(entry) && folio_order(f) == hpage_order() && do_set_pmd(vmf, f) == 0) {
		folio_unlock(f);
		return true;
	}
	if (vmf->prealloc_pte != nullptr && pmd_none(pmd->read_once()))
		pmd_install(mm, vmf->address, &vmf->prealloc_pte);
	return false;
}

/* Maps `nr` pages of the folio from `page` on where nothing is mapped; PTL held. */
unsigned filemap_map_folio_range(vm_fault *vmf, pte_table *table, folio *f, unsigned page,
				 std::uint64_t address, unsigned nr)
{
	unsigned ret = 0;
	unsigned count = 0;
	for (unsigned at = 0; at <= nr; ++at) {
		const std::uint64_t here = address + std::uint64_t{ at } * page_size();
		if (at < nr && pte_none(pte_offset(table, here)->read_once())) {
			++count;
			continue;
		}
		if (count == 0)
			continue;
		const std::uint64_t first = here - std::uint64_t{ count } * page_size();
		set_pte_range(vmf, table, f, page + at - count, count, first);
		folio_ref_add(f, static_cast<int>(count));
		if (vmf->address >= first && vmf->address < here)
			ret = VM_FAULT_NOPAGE;
		count = 0;
	}
	return ret;
}

} // namespace

/*
 * The folio of a fault, referenced and locked: VM_FAULT_LOCKED. VM_FAULT_RETRY: mmap_lock was
 * dropped for I/O and the fault must be repeated from the VMA on. VM_FAULT_SIGBUS: behind the end
 * of the file, or the read failed. Requires: mmap_lock shared. May sleep.
 */
unsigned filemap_fault(vm_fault *vmf)
{
	FRAME(filemap_fault);
	file *f = vmf->vma->vm_file;
	address_space *mapping = f->f_mapping;
	const pgoff_t index = vmf->pgoff;
	file *fpin = nullptr;
	bool mapping_locked = false;

	if (index >= max_index(mapping->host))
		return VM_FAULT_SIGBUS;

	folio *fo = filemap_get_folio(mapping, index);
	bool found = !IS_ERR(fo);
	if (found) {
		if (vmf->allow_retry)
			fpin = do_async_mmap_readahead(vmf, fo);
		/* A read is necessary: against truncate and hole punch it is made under this. */
		if (!folio_test_uptodate(fo)) {
			filemap_fill_lock(mapping);
			mapping_locked = true;
		}
	} else {
		fpin = do_sync_mmap_readahead(vmf);
	}

	for (;;) {
		if (!found) {
			if (!mapping_locked) {
				filemap_fill_lock(mapping);
				mapping_locked = true;
			}
			fo = __filemap_get_folio(mapping, index, FGP_CREAT | FGP_FOR_MMAP);
			if (IS_ERR(fo)) {
				fo = nullptr;
				if (fpin != nullptr)
					break;
				filemap_fill_unlock(mapping);
				return VM_FAULT_OOM;
			}
		}
		found = false;

		lock_folio_maybe_drop_mmap(vmf, fo, &fpin);
		/* Truncated? */
		if (fo->mapping.load() != mapping) {
			folio_unlock(fo);
			folio_put(fo);
			continue;
		}
		VM_BUG_ON_FOLIO(index - fo->index.look() >= folio_nr_pages(fo), fo);

		if (!folio_test_uptodate(fo)) {
			/* It was uptodate and is not any more: look again, with the lock. */
			if (!mapping_locked) {
				folio_unlock(fo);
				folio_put(fo);
				continue;
			}
			fpin = maybe_unlock_mmap_for_io(vmf, fpin);
			const int error = filemap_read_folio(f, mapping->a_ops->read_folio, fo);
			if (fpin != nullptr)
				break;
			folio_put(fo);
			if (error == 0)
				continue;
			filemap_fill_unlock(mapping);
			return VM_FAULT_SIGBUS;
		}

		/* The VMA may be gone. */
		if (fpin != nullptr) {
			folio_unlock(fo);
			break;
		}
		if (mapping_locked)
			filemap_fill_unlock(mapping);
		/* Under the folio lock truncate cannot get past this folio. */
		if (index >= max_index(mapping->host)) {
			folio_unlock(fo);
			folio_put(fo);
			return VM_FAULT_SIGBUS;
		}
		vmf->page_folio = fo;
		return VM_FAULT_LOCKED;
	}

	if (fo != nullptr)
		folio_put(fo);
	if (mapping_locked)
		filemap_fill_unlock(mapping);
	if (fpin != nullptr)
		fput(fpin);
	return VM_FAULT_RETRY;
}

/*
 * ->fault. Before invalidate_lock was everybody's, ext4 and XFS had a lock of their own to keep
 * faults out of truncate (i_mmap_sem, XFS_MMAPLOCK); here it is the same object. As filemap_fault().
 */
unsigned filesystem_fault(vm_fault *vmf)
{
	const bool locks = !patched(Patch::kInvalidateLock) &&
			   this_machine().fs->mkwrite_takes_invalidate_lock;
	address_space *mapping = vmf->vma->vm_file->f_mapping;

	if (locks)
		filemap_invalidate_lock_shared(mapping);
	const unsigned ret = filemap_fault(vmf);
	if (locks)
		filemap_invalidate_unlock_shared(mapping);
	return ret;
}

/*
 * Maps what is ready in the cache of the pages [start, end] around a read fault, without waiting
 * for anything. VM_FAULT_NOPAGE: the faulting page is among them. The whole range is in one PMD.
 */
unsigned filemap_map_pages(vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	FRAME(filemap_map_pages);
	vm_area_struct *vma = vmf->vma;
	address_space *mapping = vma->vm_file->f_mapping;
	xa_state xas(&mapping->i_pages, start);
	unsigned ret = 0;

	rcu_read_lock();
	folio *f = next_uptodate_folio(&xas, mapping, end);
	if (f == nullptr) {
		rcu_read_unlock();
		return 0;
	}
	if (filemap_map_pmd(vmf, f)) {
		rcu_read_unlock();
		return VM_FAULT_NOPAGE;
	}
	pte_table *table = pte_offset_map_lock(vma->vm_mm, vmf->address);
	if (table == nullptr) {
		folio_unlock(f);
		folio_put(f);
		rcu_read_unlock();
		return 0;
	}
	const pgoff_t file_end = max_index(mapping->host) - 1;
	end = std::min(end, file_end);
	do {
		const pgoff_t index = xas.xa_index;
		/* Where a huge page has a slot per page, the others have their turn. */
		const pgoff_t next =
			patched(Patch::kFolioTruncate) ? folio_next_index(f) : index + 1;
		const pgoff_t last = std::min(next - 1, end);
		if (index <= last) {
			ret |= filemap_map_folio_range(
				vmf, table, f, static_cast<unsigned>(index - f->index.load()),
				vma->vm_start + (index - vma->vm_pgoff) * page_size(),
				static_cast<unsigned>(last - index + 1));
		}
		folio_unlock(f);
		folio_put(f);
		f = next_uptodate_folio(&xas, mapping, end);
	} while (f != nullptr);
	pte_unmap_unlock(table);
	rcu_read_unlock();
	return ret;
}

/*
 * A page of a shared mapping is about to become writable: space for it is reserved, the folio is
 * dirty and no writeback reads it while its contents must be stable. VM_FAULT_LOCKED: granted, and
 * the folio is locked. VM_FAULT_NOPAGE: the folio is not in the file any more; fault again.
 * VM_FAULT_SIGBUS: no space. Requires: mmap_lock shared, a reference, no folio lock. May sleep.
 */
unsigned filemap_page_mkwrite(vm_fault *vmf)
{
	address_space *mapping = vmf->vma->vm_file->f_mapping;
	return mapping->host->i_fop->page_mkwrite(vmf->page_folio, mapping);
}

} // namespace kernel
