// SPDX-License-Identifier: GPL-2.0-only
// madvise(2) (mm/madvise.c of 6.12, hugepage_madvise() of mm/khugepaged.c).
//
// Left out: every advice that is not in the table of do_madvise(), VMA splitting: MADV_HUGEPAGE and
// MADV_NOHUGEPAGE apply to all of each VMA that they touch.
//
// Locks: mmap_lock, for write if VMA flags change, else shared.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>

#include "engine/kernel/khugepaged.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"
#include "scheduler/frame.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace kernel
{

namespace
{

/* The pages are dropped at once, private copies too; the next access reads the file again. */
int madvise_dontneed(vm_area_struct *vma, std::uint64_t start, std::uint64_t end)
{
	FRAME(madvise_dontneed_single_vma);
	zap_page_range(vma, start, end, true);
	return 0;
}

/* The file is read ahead, without mmap_lock: the VMA may be gone on return. */
int madvise_willneed(vm_area_struct *vma, std::uint64_t start, std::uint64_t end, bool *dropped)
{
	FRAME(madvise_willneed);
	mm_struct *mm = vma->vm_mm;
	file *f = vma->vm_file;
	const auto offset = static_cast<loff_t>(linear_page_index(vma, start) * page_size());
	get_file(f);
	*dropped = true;
	mm->mmap_lock.up_read();
	vfs_fadvise(f, offset, static_cast<loff_t>(end - start), POSIX_FADV_WILLNEED);
	fput(f);
	mm->mmap_lock.down_read();
	return 0;
}

/* mmap_lock held for write. */
int hugepage_madvise(vm_area_struct *vma, int advice)
{
	FRAME(hugepage_madvise);
	if (advice == MADV_HUGEPAGE) {
		vma->vm_flags = (vma->vm_flags & ~unsigned{ VM_NOHUGEPAGE }) | VM_HUGEPAGE;
		khugepaged_enter_mm(vma->vm_mm);
	} else {
		vma->vm_flags = (vma->vm_flags & ~unsigned{ VM_HUGEPAGE }) | VM_NOHUGEPAGE;
	}
	return 0;
}

int madvise_vma_behavior(vm_area_struct *vma, std::uint64_t start, std::uint64_t end, int advice,
			 bool *dropped)
{
	switch (advice) {
	case MADV_DONTNEED:
		return madvise_dontneed(vma, start, end);
	case MADV_WILLNEED:
		return madvise_willneed(vma, start, end, dropped);
	case MADV_COLLAPSE:
		return madvise_collapse(vma, start, end, dropped);
	default:
		return hugepage_madvise(vma, advice);
	}
}

bool madvise_behavior_valid(int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
		return true;
	case MADV_COLLAPSE:
		return patched(Patch::kMadviseCollapse);
	default:
		return false;
	}
}

/* The first VMA that ends behind `address`; null if there is none. mmap_lock held. */
vm_area_struct *find_vma(mm_struct *mm, std::uint64_t address)
{
	for (vm_area_struct *vma : mm->vmas) {
		if (vma->vm_end > address)
			return vma;
	}
	return nullptr;
}

/* VMA by VMA; holes are skipped and make -ENOMEM in the end, an error stops. */
int madvise_walk_vmas(mm_struct *mm, std::uint64_t start, std::uint64_t end, int advice)
{
	int unmapped_error = 0;
	while (start < end) {
		vm_area_struct *vma = find_vma(mm, start);
		if (vma == nullptr || vma->vm_start >= end)
			return -ENOMEM;
		if (start < vma->vm_start) {
			unmapped_error = -ENOMEM;
			start = vma->vm_start;
		}
		const std::uint64_t piece_end = std::min(vma->vm_end, end);
		bool dropped = false;
		const int error = madvise_vma_behavior(vma, start, piece_end, advice, &dropped);
		if (error != 0)
			return error;
		start = piece_end;
	}
	return unmapped_error;
}

} // namespace

/* 0; -EINVAL: unknown advice or unaligned; -ENOMEM: part of the range is not mapped; what the
 * advice says. May sleep. */
int do_madvise(mm_struct *mm, std::uint64_t address, std::uint64_t len, int advice)
{
	FRAME(do_madvise);
	if (!madvise_behavior_valid(advice) || address % page_size() != 0)
		return -EINVAL;
	const std::uint64_t rounded = (len + page_size() - 1) / page_size() * page_size();
	if (rounded < len || address + rounded < address)
		return -EINVAL;
	if (rounded == 0)
		return 0;

	const bool write = advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE;
	if (write)
		mm->mmap_lock.down_write();
	else
		mm->mmap_lock.down_read();
	const int error = madvise_walk_vmas(mm, address, address + rounded, advice);
	if (write)
		mm->mmap_lock.up_write();
	else
		mm->mmap_lock.up_read();
	return error;
}

} // namespace kernel
