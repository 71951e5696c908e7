// SPDX-License-Identifier: GPL-2.0-only
// msync(2) (mm/msync.c of 6.12).
//
// Locks: mmap_lock shared, dropped around the writeback.
#include <sys/mman.h>

#include <algorithm>

#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "scheduler/frame.h"

namespace kernel
{

/*
 * Only MS_SYNC does anything: shared mappings' parts of the files reach the disk. 0, -EINVAL,
 * -ENOMEM (part of the range is not mapped), or the file's write error. May sleep.
 */
int do_msync(mm_struct *mm, std::uint64_t address, std::uint64_t len, int flags)
{
	FRAME(do_msync);
	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 || address % page_size() != 0)
		return -EINVAL;
	if ((flags & MS_ASYNC) != 0 && (flags & MS_SYNC) != 0)
		return -EINVAL;
	const std::uint64_t end = address + (len + page_size() - 1) / page_size() * page_size();
	if (end < address)
		return -ENOMEM;

	int unmapped_error = 0;
	mm->mmap_lock.down_read();
	for (std::uint64_t start = address; start < end;) {
		const auto next = std::find_if(
			mm->vmas.begin(), mm->vmas.end(),
			[&](const vm_area_struct *vma) { return vma->vm_end > start; });
		if (next == mm->vmas.end() || (*next)->vm_start >= end) {
			unmapped_error = -ENOMEM;
			break;
		}
		const vm_area_struct *vma = *next;
		if (start < vma->vm_start) {
			start = vma->vm_start;
			unmapped_error = -ENOMEM;
			if (flags == MS_ASYNC)
				break;
		}
		const std::uint64_t piece_end = std::min(end, vma->vm_end);
		const auto fstart =
			static_cast<loff_t>(linear_page_index(vma, start) * page_size());
		const loff_t fend = fstart + static_cast<loff_t>(piece_end - start) - 1;
		start = piece_end;
		if ((flags & MS_SYNC) == 0 || (vma->vm_flags & VM_SHARED) == 0)
			continue;

		file *f = vma->vm_file;
		get_file(f);
		mm->mmap_lock.up_read();
		const int error = vfs_fsync_range(f, fstart, fend, true);
		fput(f);
		if (error != 0)
			return error;
		/* The VMA may be gone; what is there now counts. */
		mm->mmap_lock.down_read();
	}
	mm->mmap_lock.up_read();
	return unmapped_error;
}

} // namespace kernel
