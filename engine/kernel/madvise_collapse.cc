// SPDX-License-Identifier: GPL-2.0-only
// MADV_COLLAPSE (madvise_collapse of mm/khugepaged.c of 6.12).
//
// Left out: anonymous memory.
//
// Locks: mmap_lock is held on entry and on return, and dropped for each range.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/khugepaged.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* mmap_lock was dropped: is the VMA still there and eligible? */
scan_result hugepage_vma_revalidate(mm_struct *mm, std::uint64_t address, vm_area_struct **vma,
				    const collapse_control *cc)
{
	if (hpage_collapse_test_exit(mm))
		return SCAN_ANY_PROCESS;
	*vma = vma_lookup(mm, address);
	if (*vma == nullptr)
		return SCAN_VMA_NULL;
	if (!thp_vma_suitable_order(*vma, address))
		return SCAN_ADDRESS_RANGE;
	if (!thp_vma_allowable(*vma, cc->is_khugepaged))
		return SCAN_VMA_CHECK;
	return SCAN_SUCCEED;
}

/* What the user is told; -EAGAIN means that trying again might help. */
int madvise_collapse_errno(scan_result result)
{
	switch (result) {
	case SCAN_ALLOC_HUGE_PAGE_FAIL:
		return -ENOMEM;
	case SCAN_CGROUP_CHARGE_FAIL:
	case SCAN_EXCEED_NONE_PTE:
		return -EBUSY;
	case SCAN_PAGE_COUNT:
	case SCAN_PAGE_LOCK:
	case SCAN_PAGE_LRU:
	case SCAN_DEL_PAGE_LRU:
	case SCAN_PAGE_FILLED:
	case SCAN_PAGE_DIRTY_OR_WRITEBACK:
		return -EAGAIN;
	default:
		return -EINVAL;
	}
}

/* Failures of one range that say nothing about the next one. */
bool may_continue_after(scan_result result)
{
	switch (result) {
	case SCAN_PMD_NULL:
	case SCAN_PTE_NON_PRESENT:
	case SCAN_PAGE_NULL:
	case SCAN_PAGE_COUNT:
	case SCAN_PAGE_LOCK:
	case SCAN_PAGE_COMPOUND:
	case SCAN_PAGE_LRU:
	case SCAN_DEL_PAGE_LRU:
		return true;
	default:
		return false;
	}
}

/* One range; mmap_lock is held and dropped. */
scan_result madvise_collapse_one(vm_area_struct *vma, std::uint64_t address, collapse_control *cc)
{
	mm_struct *mm = vma->vm_mm;
	file *f = vma->vm_file;
	get_file(f);
	const pgoff_t pgoff = linear_page_index(vma, address);

	mm->mmap_lock.up_read();
	scan_result result = hpage_collapse_scan_file(mm, address, f, pgoff, cc);
	if (result == SCAN_PAGE_DIRTY_OR_WRITEBACK && patched(Patch::kMadviseWritesBack)) {
		/* Errors are for fsync(2). Who writes all the time gets one more try only. */
		const auto start = static_cast<loff_t>(pgoff * page_size());
		filemap_write_and_wait_range(f->f_mapping, start,
					     start + static_cast<loff_t>(pmd_size()) - 1);
		result = hpage_collapse_scan_file(mm, address, f, pgoff, cc);
	}
	fput(f);
	if (result == SCAN_PTE_MAPPED_HUGEPAGE) {
		mm->mmap_lock.down_read();
		result = collapse_pte_mapped_thp(mm, address, true);
		mm->mmap_lock.up_read();
	}
	return result;
}

} // namespace

int madvise_collapse(vm_area_struct *vma, std::uint64_t start, std::uint64_t end, bool *dropped)
{
	FRAME(madvise_collapse);
	mm_struct *mm = vma->vm_mm;
	collapse_control cc{ .is_khugepaged = false };
	scan_result last_fail = SCAN_FAIL;
	bool mmap_locked = true;
	std::uint64_t thps = 0;

	BUG_ON(vma->vm_start > start || vma->vm_end < end);
	*dropped = false;
	if (!thp_vma_allowable(vma, false))
		return -EINVAL;
	/* Folios in a CPU's batch are not on the LRU. */
	lru_add_drain_all();

	const std::uint64_t hstart = (start + pmd_size() - 1) / pmd_size() * pmd_size();
	std::uint64_t hend = end / pmd_size() * pmd_size();
	for (std::uint64_t address = hstart; address < hend; address += pmd_size()) {
		if (!mmap_locked) {
			mm->mmap_lock.down_read();
			mmap_locked = true;
			const scan_result valid = hugepage_vma_revalidate(mm, address, &vma, &cc);
			if (valid != SCAN_SUCCEED) {
				last_fail = valid;
				break;
			}
			hend = std::min(hend, vma->vm_end / pmd_size() * pmd_size());
		}
		const scan_result result = madvise_collapse_one(vma, address, &cc);
		mmap_locked = false;
		*dropped = true;
		if (result == SCAN_SUCCEED || result == SCAN_PMD_MAPPED) {
			++thps;
			continue;
		}
		last_fail = result;
		if (!may_continue_after(result))
			break;
	}
	if (!mmap_locked)
		mm->mmap_lock.down_read();
	return thps * pmd_size() == hend - hstart ? 0 : madvise_collapse_errno(last_fail);
}

} // namespace kernel
