// SPDX-License-Identifier: GPL-2.0-only
// khugepaged and the scan of a file range (mm/khugepaged.c of 6.12). The collapse itself is in
// collapse.cc.
//
// Left out: anonymous memory, userfaultfd, sysfs limits (defaults apply), freezing and sleeping
// between scans; khugepaged ends after geometry.khugepaged_scans passes.
#include "engine/kernel/khugepaged.h"

#include <algorithm>
#include <array>

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

const char *scan_result_name(scan_result result)
{
	static constexpr std::array<const char *, SCAN_RESULTS> kNames = {
		"fail",
		"succeeded",
		"pmd_null",
		"pmd_none",
		"pmd_mapped",
		"exceed_none_pte",
		"page_count",
		"page_lru",
		"page_locked",
		"page_anon",
		"page_compound",
		"pte_mapped_hugepage",
		"vma_null",
		"vma_check",
		"del_page_lru",
		"alloc_huge_page_failed",
		"cgroup_charge_failed",
		"truncated",
		"page_has_private",
		"page_filled",
		"copy_poisoned_page",
		"store_failed",
		"any_process",
		"address_range",
		"exceed_swap_pte",
		"page_null",
		"pte_non_present",
		"page_dirty_or_writeback",
	};
	return kNames[result];
}

bool hpage_collapse_test_exit(mm_struct *mm)
{
	return mm->mm_users.read() == 0;
}

namespace
{

/* Sysfs defaults. */
pgoff_t khugepaged_max_ptes_none()
{
	return hpage_pages() - 1;
}

pgoff_t khugepaged_max_ptes_swap()
{
	return hpage_pages() / 8;
}

/*
 * The scan holds no references. struct page outlives its folio, so Linux may look at a folio that
 * was freed under it and finds it neither on the LRU nor with a count that fits. Here only the
 * count of a freed folio may be read. So every look is a step that reads the count, and what else
 * it looks at besides: false if nothing may be looked at any more.
 */
bool still_there(const folio *f)
{
	return folio_ref_count(f) != 0;
}

/* Do cache, page tables and private data account for all references? */
bool is_refcount_suitable(const folio *f)
{
	if (!still_there(f))
		return false;
	int expected = f->_mapcount.look() + static_cast<int>(folio_nr_pages(f));
	if (!still_there(f))
		return false;
	if (f->flags.look(PG_private))
		++expected;
	return folio_ref_count(f) == expected;
}

/* Could this folio take part? SCAN_SUCCEED if so. */
scan_result scan_folio(const folio *f, pgoff_t start)
{
	if (!still_there(f))
		return SCAN_PAGE_LRU;
	if (folio_test_large(f)) {
		if (patched(Patch::kFolioTruncate) && folio_order(f) == hpage_order() &&
		    f->index.look() == start)
			return SCAN_PTE_MAPPED_HUGEPAGE;
		if (!patched(Patch::kCollapseKeepsOldFolios))
			return SCAN_PAGE_COMPOUND;
	}
	if (!still_there(f) || !f->flags.look(PG_lru))
		return SCAN_PAGE_LRU;
	return is_refcount_suitable(f) ? SCAN_SUCCEED : SCAN_PAGE_COUNT;
}

} // namespace

/*
 * Looks whether the range is worth an attempt, and makes it. Never looks at dirt. Requires: a
 * reference to the file, no locks. May sleep.
 */
scan_result hpage_collapse_scan_file(mm_struct *mm, std::uint64_t address, file *f, pgoff_t start,
				     collapse_control *cc)
{
	FRAME(hpage_collapse_scan_file);
	scan_result result = SCAN_SUCCEED;
	const pgoff_t last = start + hpage_pages() - 1;
	pgoff_t shadows = 0;

	cc->present = 0;
	rcu_read_lock();
	xa_state xas(&f->f_mapping->i_pages, start);
	for (void *entry = xas_find(&xas, last); entry != nullptr;
	     entry = xas_next_entry(&xas, last)) {
		if (xas_retry(&xas, entry))
			continue;
		if (xa_is_value(entry)) {
			shadows += pgoff_t{ 1 } << xas_get_order(&xas);
			if (cc->is_khugepaged && shadows > khugepaged_max_ptes_swap()) {
				result = SCAN_EXCEED_SWAP_PTE;
				break;
			}
			continue;
		}
		const auto *found = static_cast<const folio *>(entry);
		result = scan_folio(found, start);
		if (result != SCAN_SUCCEED)
			break;
		cc->present += folio_nr_pages(found);
	}
	rcu_read_unlock();

	if (result != SCAN_SUCCEED)
		return result;
	if (cc->is_khugepaged && cc->present < hpage_pages() - khugepaged_max_ptes_none())
		return SCAN_EXCEED_NONE_PTE;
	return collapse_file(mm, address, f, start, cc);
}

/* Registers an mm. The daemon begins its passes with the first one. */
void khugepaged_enter_mm(mm_struct *mm)
{
	FRAME(__khugepaged_enter);
	machine &m = this_machine();

	m.khugepaged_mm_lock.lock();
	const bool wakeup = m.khugepaged_mms.empty();
	const bool known = std::ranges::find(m.khugepaged_mms, mm) != m.khugepaged_mms.end();
	if (!known)
		m.khugepaged_mms.push_back(mm);
	m.khugepaged_mm_lock.unlock();
	if (wakeup)
		m.khugepaged_wait.wake_up();
}

/* Requires: mm_users is zero, mmap_lock not held. May sleep. */
void khugepaged_exit_mm(mm_struct *mm)
{
	FRAME(__khugepaged_exit);
	machine &m = this_machine();

	m.khugepaged_mm_lock.lock();
	const bool being_scanned = m.khugepaged_scanning == mm;
	std::erase(m.khugepaged_mms, mm);
	m.khugepaged_mm_lock.unlock();
	/* It works on page tables under mmap_lock and looks at mm_users when it has the lock. */
	if (being_scanned) {
		mm->mmap_lock.down_write();
		mm->mmap_lock.up_write();
	}
}

namespace
{

/*
 * Finds the next eligible range at or after *address and tries it. True if there was one: mmap_lock
 * was dropped meanwhile, the caller looks again from *address on. Nothing waits for mmap_lock
 * here: whoever holds it is left alone for this pass.
 */
bool khugepaged_scan_next(mm_struct *mm, std::uint64_t *address, collapse_control *cc)
{
	if (!mm->mmap_lock.down_read_trylock())
		return false;
	for (vm_area_struct *vma : mm->vmas) {
		if (hpage_collapse_test_exit(mm))
			break;
		if (vma->vm_end <= *address || !thp_vma_allowable(vma, true))
			continue;
		const std::uint64_t hstart =
			(vma->vm_start + pmd_size() - 1) / pmd_size() * pmd_size();
		const std::uint64_t hend = vma->vm_end / pmd_size() * pmd_size();
		*address = std::max(*address, hstart);
		if (*address >= hend)
			continue;

		file *f = vma->vm_file;
		get_file(f);
		const pgoff_t pgoff = linear_page_index(vma, *address);
		mm->mmap_lock.up_read();
		const scan_result result = hpage_collapse_scan_file(mm, *address, f, pgoff, cc);
		fput(f);
		if (result == SCAN_PTE_MAPPED_HUGEPAGE) {
			mm->mmap_lock.down_read();
			if (!hpage_collapse_test_exit(mm))
				collapse_pte_mapped_thp(mm, *address, false);
			mm->mmap_lock.up_read();
		}
		*address += pmd_size();
		return true;
	}
	mm->mmap_lock.up_read();
	return false;
}

/* The next mm of this pass after `index` others, or null. */
mm_struct *khugepaged_next_mm(std::size_t index)
{
	machine &m = this_machine();
	m.khugepaged_mm_lock.lock();
	m.khugepaged_scanning = index < m.khugepaged_mms.size() ? m.khugepaged_mms[index] : nullptr;
	mm_struct *mm = m.khugepaged_scanning;
	m.khugepaged_mm_lock.unlock();
	return mm;
}

bool khugepaged_has_work()
{
	machine &m = this_machine();
	m.khugepaged_mm_lock.lock();
	const bool has_work = !m.khugepaged_mms.empty();
	m.khugepaged_mm_lock.unlock();
	return has_work;
}

void khugepaged_scan_mm_slot(mm_struct *mm, collapse_control *cc)
{
	FRAME(khugepaged_scan_mm_slot);
	std::uint64_t address = 0;

	while (khugepaged_scan_next(mm, &address, cc)) {
	}
}

} // namespace

void khugepaged()
{
	FRAME(khugepaged);
	collapse_control cc{ .is_khugepaged = true };

	for (unsigned pass = 0; pass < this_machine().geo.khugepaged_scans; ++pass) {
		this_machine().khugepaged_wait.wait_event(khugepaged_has_work);
		lru_add_drain_all();
		std::size_t index = 0;
		while (mm_struct *mm = khugepaged_next_mm(index++))
			khugepaged_scan_mm_slot(mm, &cc);
	}
}

} // namespace kernel
