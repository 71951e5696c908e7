// SPDX-License-Identifier: GPL-2.0-only
// Which VMAs may get huge pages of files (mm/huge_memory.c, 6.12, CONFIG_READ_ONLY_THP_FOR_FS=y;
// 7.2 has no such option and asks the filesystem).
//
// Left out: sysfs (transparent_hugepage/enabled is "madvise"), DAX, shmem, anonymous memory, orders
// other than the PMD's.
#include "engine/kernel/khugepaged.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"

namespace kernel
{

/*
 * True at this instant: a writer may come any time after. Requires: mmap_lock.
 * collapse_file asks again once it can be sure that writers see what it does.
 */
bool file_thp_enabled(vm_area_struct *vma)
{
	if (vma->vm_file == nullptr)
		return false;
	const inode *node = vma->vm_file->f_inode;
	if (!patched(Patch::kNoVmExec) && (vma->vm_flags & VM_EXEC) == 0)
		return false;
	/* Whoever has large folios here has them of PMD order. */
	if (patched(Patch::kThpNeedsLargeFolios) && !mapping_large_folio_support(node->i_mapping))
		return false;
	if (!patched(Patch::kCollapseWritable) && inode_is_open_for_write(node))
		return false;
	return node->regular;
}

/*
 * thp_vma_allowable_order() for PMD order, outside of faults. khugepaged obeys sysfs, madvise(2)
 * does not. Requires: mmap_lock.
 */
bool thp_vma_allowable(vm_area_struct *vma, bool is_khugepaged)
{
	if ((vma->vm_flags & VM_NOHUGEPAGE) != 0)
		return false;
	if (vma->vm_end < pmd_size() || !thp_vma_suitable_order(vma, vma->vm_end - pmd_size()))
		return false;
	if (is_khugepaged && (vma->vm_flags & VM_HUGEPAGE) == 0)
		return false;
	return file_thp_enabled(vma);
}

} // namespace kernel
