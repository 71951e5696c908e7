// SPDX-License-Identifier: GPL-2.0-only
// get_user_pages and pin_user_pages (mm/gup.c of 6.12).
//
// Left out: FOLL_LONGTERM and all that refuses it, FOLL_FORCE, FOLL_NOWAIT, remote address spaces,
// hugetlb, DAX. There is no fork, hence no write_protect_seq, no unsharing of anonymous pages and no
// mm flag that it was ever pinned. Interrupts are not modelled: the fast part runs in an RCU read
// section, which is what keeps page tables there. The slow part looks every page up, also within a
// huge one.
//
// Fast part against reclaim, both sides fully ordered; at least one sees the other:
//   gup_fast_pte_range                  shrink_folio_list
//     1. the entry maps the folio         a. the entry is cleared (try_to_unmap)
//     2. references++                     b. references, pins: somebody there?
//     3. the entry is the same: taken     c. no: nobody can come any more
//
// Lock order: mmap_lock -> pmd_lock, ptl.
#include "engine/kernel/gup.h"

#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/errno.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/retry_loop.h"

namespace kernel
{

namespace
{

enum class grab : std::uint8_t { GET, PIN };

/* What an entry must be for this access. */
bool allows(std::uint32_t bits, unsigned flags)
{
	const std::uint32_t needed =
		(flags & FOLL_WRITE) != 0 ? PTE_PRESENT | PTE_WRITE : std::uint32_t{ PTE_PRESENT };
	return (bits & needed) == needed;
}

void gup_put_folio(folio *f, grab how)
{
	int refs = 1;
	if (how == grab::PIN) {
		if (folio_test_large(f))
			f->_pincount.add_return(-1);
		else
			refs = GUP_PIN_COUNTING_BIAS;
	}
	folio_put_refs(f, refs);
}

/* Nobody keeps the folio. False: it is being freed, or frozen. A full barrier on success. */
bool try_grab_folio_fast(folio *f, grab how)
{
	FRAME(try_grab_folio_fast);
	if (!folio_try_get(f))
		return false;
	if (how == grab::GET)
		return true;
	/* A large folio's count is exact, and its reference is what keeps it. */
	if (folio_test_large(f))
		f->_pincount.add_return(1);
	else
		folio_ref_add(f, GUP_PIN_COUNTING_BIAS - 1);
	return true;
}

/* A page table lock held, under which the folio is mapped. */
void try_grab_folio(folio *f, grab how)
{
	FRAME(try_grab_folio);
	if (how == grab::GET) {
		folio_get(f);
		return;
	}
	if (folio_test_large(f)) {
		folio_get(f);
		f->_pincount.add_return(1);
	} else {
		folio_ref_add(f, GUP_PIN_COUNTING_BIAS);
	}
}

/* ---- without locks ---- */

/* One page through a table. False: not without locks. */
bool gup_fast_pte(mm_struct *mm, pmd_t pmd, std::uint64_t address, unsigned flags, grab how,
		  gup_page *page)
{
	FRAME(gup_fast_pte_range);
	TableEntry<pte_t> *entry = pte_offset(pmd.table, address);
	const pte_t pte = entry->read_once();
	if (pte_none(pte) || !allows(pte.bits, flags))
		return false;
	if (!try_grab_folio_fast(pte.f, how))
		return false;
	if (!pmd_same(pmd_offset(mm, address)->read_once(), pmd) ||
	    !pte_same(entry->read_once(), pte)) {
		gup_put_folio(pte.f, how);
		return false;
	}
	folio_set_referenced(pte.f);
	*page = { pte.f, pte.page };
	return true;
}

/* One page of a huge mapping. */
bool gup_fast_pmd_leaf(mm_struct *mm, pmd_t pmd, std::uint64_t address, unsigned flags, grab how,
		       gup_page *page)
{
	FRAME(gup_fast_pmd_leaf);
	if (!allows(pmd.bits, flags) || !try_grab_folio_fast(pmd.huge, how))
		return false;
	if (!pmd_same(pmd_offset(mm, address)->read_once(), pmd)) {
		gup_put_folio(pmd.huge, how);
		return false;
	}
	folio_set_referenced(pmd.huge);
	*page = { pmd.huge, pte_index(address) };
	return true;
}

/* How many pages could be had. */
unsigned gup_fast(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags, grab how,
		  gup_page *pages)
{
	FRAME(gup_fast);
	unsigned done = 0;

	rcu_read_lock();
	for (std::uint64_t at = start; done < nr; done++, at += page_size()) {
		if (pmd_index(at) >= mm->pmd_count)
			break;
		const pmd_t pmd = pmd_offset(mm, at)->read_once();
		if (pmd_none(pmd))
			break;
		if (pmd_trans_huge(pmd) ? !gup_fast_pmd_leaf(mm, pmd, at, flags, how, pages + done)
					: !gup_fast_pte(mm, pmd, at, flags, how, pages + done))
			break;
	}
	rcu_read_unlock();
	return done;
}

/* ---- with mmap_lock ---- */

int check_vma_flags(const vm_area_struct *vma, unsigned flags)
{
	const unsigned wanted = (flags & FOLL_WRITE) != 0 ? VM_WRITE : VM_READ;
	return (vma->vm_flags & wanted) != 0 ? 0 : -EFAULT;
}

/* The lock of the entry held. `dirty`: the entry says so. */
void grab_mapped(folio *f, bool dirty, unsigned flags, grab how)
{
	try_grab_folio(f, how);
	if ((flags & FOLL_TOUCH) == 0)
		return;
	/* Without the folio lock: an entry that is writable and clean is no accounted mapping's. */
	if ((flags & FOLL_WRITE) != 0 && !dirty && !folio_test_dirty(f))
		folio_mark_dirty(f);
	folio_mark_accessed(f);
}

bool follow_trans_huge_pmd(mm_struct *mm, std::uint64_t address, unsigned flags, grab how,
			   gup_page *page)
{
	FRAME(follow_huge_pmd);
	mm->pmd_lock.lock();
	const pmd_t pmd = pmd_offset(mm, address)->read_once();
	const bool found = pmd_trans_huge(pmd) && allows(pmd.bits, flags);
	if (found) {
		grab_mapped(pmd.huge, (pmd.bits & PTE_DIRTY) != 0, flags, how);
		*page = { pmd.huge, pte_index(address) };
	}
	mm->pmd_lock.unlock();
	return found;
}

bool follow_page_pte(mm_struct *mm, std::uint64_t address, unsigned flags, grab how, gup_page *page)
{
	FRAME(follow_page_pte);
	pte_table *table = pte_offset_map_lock(mm, address);
	if (table == nullptr)
		return false;
	const pte_t pte = pte_offset(table, address)->read_once();
	const bool found = !pte_none(pte) && allows(pte.bits, flags);
	if (found) {
		grab_mapped(pte.f, pte_dirty(pte), flags, how);
		*page = { pte.f, pte.page };
	}
	pte_unmap_unlock(table);
	return found;
}

/* A reference to the page, if it can be accessed as it is. mmap_lock held. */
bool follow_page_mask(mm_struct *mm, std::uint64_t address, unsigned flags, grab how,
		      gup_page *page)
{
	FRAME(follow_page_mask);
	const pmd_t pmd = pmd_offset(mm, address)->read_once();
	if (pmd_none(pmd))
		return false;
	return pmd_trans_huge(pmd) ? follow_trans_huge_pmd(mm, address, flags, how, page)
				   : follow_page_pte(mm, address, flags, how, page);
}

/*
 * 0: look again. -EAGAIN, -EBUSY: mmap_lock was dropped, *locked is false now, and the page is there,
 * or not yet. Else -EFAULT or -ENOMEM.
 */
int faultin_page(vm_area_struct *vma, std::uint64_t address, unsigned flags, bool *locked)
{
	FRAME(faultin_page);
	vm_fault vmf{ .vma = vma,
		      .address = address,
		      .pgoff = linear_page_index(vma, address),
		      .write = (flags & FOLL_WRITE) != 0,
		      .allow_retry = (flags & FOLL_TRIED) == 0 };
	const unsigned ret = handle_mm_fault(&vmf);
	if ((ret & VM_FAULT_COMPLETED) != 0) {
		*locked = false;
		return -EAGAIN;
	}
	if ((ret & VM_FAULT_RETRY) != 0) {
		*locked = false;
		return -EBUSY;
	}
	if ((ret & VM_FAULT_OOM) != 0)
		return -ENOMEM;
	return (ret & VM_FAULT_ERROR) != 0 ? -EFAULT : 0;
}

/* mmap_lock held shared; *locked says whether it still is. References taken, or an error; 0 only if the
 * lock was dropped. */
long __get_user_pages(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags, grab how,
		      gup_page *pages, bool *locked)
{
	FRAME(__get_user_pages);
	vm_area_struct *vma = nullptr;

	for (unsigned done = 0; done < nr; done++, start += page_size()) {
		int error = 0;
		if (vma == nullptr || start >= vma->vm_end) {
			vma = vma_lookup(mm, start);
			error = vma == nullptr ? -EFAULT : check_vma_flags(vma, flags);
		}
		const interleaf::RetryLoop loop;
		while (error == 0 && !follow_page_mask(mm, start, flags, how, pages + done))
			error = faultin_page(vma, start, flags, locked);
		if (error == -EBUSY || error == -EAGAIN)
			return done;
		if (error != 0)
			return done != 0 ? static_cast<long>(done) : error;
	}
	return nr;
}

/*
 * The same from no lock to none. Whose fault dropped the lock is looked up alone, in a turn that faults
 * without dropping it; then the rest as at first.
 */
long __get_user_pages_locked(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags,
			     grab how, gup_page *pages)
{
	FRAME(__gup_longterm_locked);
	unsigned done = 0;
	long got = 0;
	bool locked = false;

	const interleaf::RetryLoop loop;
	for (bool tried = false; done < nr;) {
		if (!locked)
			mm->mmap_lock.down_read();
		locked = true;
		got = __get_user_pages(mm, start + std::uint64_t{ done } * page_size(),
				       tried ? 1 : nr - done, tried ? flags | FOLL_TRIED : flags,
				       how, pages + done, &locked);
		if (got > 0)
			done += static_cast<unsigned>(got);
		if (locked && (got < 0 || !tried))
			break;
		tried = !locked;
	}
	if (locked)
		mm->mmap_lock.up_read();
	return done != 0 ? static_cast<long>(done) : got;
}

long gup_fast_fallback(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags, grab how,
		       gup_page *pages)
{
	start = start / page_size() * page_size();
	const unsigned done = gup_fast(mm, start, nr, flags, how, pages);
	if (done == nr)
		return done;
	const long more = __get_user_pages_locked(mm, start + std::uint64_t{ done } * page_size(),
						  nr - done, flags | FOLL_TOUCH, how, pages + done);
	if (more < 0)
		return done != 0 ? static_cast<long>(done) : more;
	return done + more;
}

} // namespace

long get_user_pages_fast(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags,
			 gup_page *pages)
{
	FRAME(get_user_pages_fast);
	return gup_fast_fallback(mm, start, nr, flags, grab::GET, pages);
}

long pin_user_pages_fast(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags,
			 gup_page *pages)
{
	FRAME(pin_user_pages_fast);
	return gup_fast_fallback(mm, start, nr, flags, grab::PIN, pages);
}

void put_user_pages(const gup_page *pages, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		gup_put_folio(pages[i].f, grab::GET);
}

void unpin_user_page(gup_page page)
{
	FRAME(unpin_user_page);
	gup_put_folio(page.f, grab::PIN);
}

void unpin_user_pages(const gup_page *pages, unsigned nr)
{
	FRAME(unpin_user_pages);
	for (unsigned i = 0; i < nr; i++)
		gup_put_folio(pages[i].f, grab::PIN);
}

/* A folio that is dirty already will be written after now, so with all that was stored. */
void unpin_user_pages_dirty_lock(const gup_page *pages, unsigned nr, bool make_dirty)
{
	FRAME(unpin_user_pages_dirty_lock);
	for (unsigned i = 0; i < nr; i++) {
		folio *f = pages[i].f;
		if (make_dirty && !folio_test_dirty(f)) {
			folio_lock(f);
			folio_mark_dirty(f);
			folio_unlock(f);
		}
		gup_put_folio(f, grab::PIN);
	}
}

void folio_add_pin(folio *f)
{
	FRAME(folio_add_pin);
	try_grab_folio(f, grab::PIN);
}

bool folio_maybe_dma_pinned(const folio *f, std::source_location where)
{
	if (folio_test_large(f))
		return f->_pincount.read(where) > 0;
	return folio_ref_count(f, where) >= GUP_PIN_COUNTING_BIAS;
}

} // namespace kernel
