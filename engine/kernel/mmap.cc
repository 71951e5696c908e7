// SPDX-License-Identifier: GPL-2.0-only
// Mapping and unmapping files (mm/mmap.c, mm/vma.c of 6.12).
//
// Left out: anonymous mappings, MAP_FIXED and hints, merging of VMAs, mremap, mprotect, brk,
// rlimits, mlock, stack growth, userfaultfd. THP is "madvise": a new VMA is not registered with khugepaged.
// Here do_mmap() and do_munmap() take mmap_lock themselves. A file whose last reference was a VMA's
// is closed after mmap_lock is dropped, where task work would do it.
//
// Lock order: mmap_lock -> i_mmap_rwsem -> pmd_lock, ptl.
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "engine/kernel/bug.h"
#include "engine/kernel/khugepaged.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr std::uint64_t kNoSpace = ~std::uint64_t{ 0 };

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

std::uint64_t task_size(const mm_struct *mm)
{
	return mm->pmd_count * pmd_size();
}

/*
 * Room for `len` bytes whose place within a PMD is that of the file's bytes, so that huge folios
 * can be mapped. No two mappings share a PMD. Upwards first, then whatever was freed below.
 */
std::uint64_t thp_get_unmapped_area(const mm_struct *mm, std::uint64_t len, loff_t offset)
{
	const std::uint64_t off = static_cast<std::uint64_t>(offset) % pmd_size();
	const std::uint64_t need = round_up(off + len, pmd_size());
	if (len > task_size(mm))
		return kNoSpace;
	if (mm->mmap_base + need <= task_size(mm))
		return mm->mmap_base + off;
	std::uint64_t low = pmd_size();
	for (const vm_area_struct *vma : mm->vmas) {
		if (low + need <= vma->vm_start / pmd_size() * pmd_size())
			break;
		low = round_up(vma->vm_end, pmd_size());
	}
	return low + need <= task_size(mm) ? low + off : kNoSpace;
}

/* mmap_lock held for write. */
void vma_insert(mm_struct *mm, vm_area_struct *vma)
{
	const auto behind =
		std::find_if(mm->vmas.begin(), mm->vmas.end(), [&](const vm_area_struct *other) {
			return other->vm_start > vma->vm_start;
		});
	mm->vmas.insert(behind, vma);
}

/* i_mmap_rwsem held for write. */
void __vma_link_file(vm_area_struct *vma, address_space *mapping)
{
	if (vma_is_shared_writable(vma))
		mapping->i_mmap_writable.inc();
	mapping->i_mmap.push_back(vma);
}

void vma_link_file(vm_area_struct *vma)
{
	FRAME(vma_link_file);
	address_space *mapping = vma->vm_file->f_mapping;
	i_mmap_lock_write(mapping);
	__vma_link_file(vma, mapping);
	i_mmap_unlock_write(mapping);
}

/* After this the reverse mapping does not find the VMA's page tables any more. */
void unlink_file_vma(vm_area_struct *vma)
{
	FRAME(unlink_file_vma);
	address_space *mapping = vma->vm_file->f_mapping;
	i_mmap_lock_write(mapping);
	if (vma_is_shared_writable(vma))
		mapping->i_mmap_writable.dec();
	std::erase(mapping->i_mmap, vma);
	i_mmap_unlock_write(mapping);
}

std::int64_t mmap_region(mm_struct *mm, file *f, std::uint64_t address, std::uint64_t len,
			 unsigned vm_flags, pgoff_t pgoff)
{
	FRAME(mmap_region);
	auto *vma = new vm_area_struct;
	vma->vm_mm = mm;
	vma->vm_start = address;
	vma->vm_end = address + len;
	vma->vm_pgoff = pgoff;
	vma->vm_flags = vm_flags;
	vma->vm_file = f;
	get_file(f);

	/* Fails once somebody has forbidden such mappings of the file. */
	const bool writable = vma_is_shared_writable(vma);
	int error = writable && !f->f_mapping->i_mmap_writable.inc_unless_negative() ? -EPERM : 0;
	if (error == 0 && f->f_op->mmap != nullptr) {
		error = f->f_op->mmap(f, vma);
		if (error != 0 && writable)
			f->f_mapping->i_mmap_writable.dec();
	}
	if (error != 0) {
		fput(f);
		delete vma;
		return error;
	}
	vma_insert(mm, vma);
	vma_link_file(vma);
	if (writable)
		f->f_mapping->i_mmap_writable.dec();
	return static_cast<std::int64_t>(address);
}

/* Ends the VMA at `address`; what is behind it becomes one of its own. mmap_lock held for write. */
void __split_vma(mm_struct *mm, vm_area_struct *vma, std::uint64_t address)
{
	FRAME(__split_vma);
	auto *upper = new vm_area_struct;
	upper->vm_mm = mm;
	upper->vm_start = address;
	upper->vm_end = vma->vm_end;
	upper->vm_pgoff = linear_page_index(vma, address);
	upper->vm_flags = vma->vm_flags;
	upper->vm_file = vma->vm_file;
	get_file(upper->vm_file);
	if (vma->anon_vma_.load() != nullptr)
		upper->anon_vma_.store(&upper->own_anon_vma);

	/* The reverse mapping must see both or the old one. */
	address_space *mapping = vma->vm_file->f_mapping;
	i_mmap_lock_write(mapping);
	if (address % pmd_size() != 0)
		__split_huge_pmd(vma, address);
	vma->vm_end = address;
	__vma_link_file(upper, mapping);
	i_mmap_unlock_write(mapping);
	vma_insert(mm, upper);
}

/*
 * Frees the tables of one VMA that is linked nowhere any more, but not those that reach below
 * `floor` or above `ceiling`, where other VMAs may use them. The entries are empty, and nobody
 * else looks for them: no lock.
 */
void free_pgd_range(mmu_gather *tlb, vm_area_struct *vma, std::uint64_t floor,
		    std::uint64_t ceiling)
{
	FRAME(free_pgd_range);
	for (std::uint64_t at = vma->vm_start / pmd_size() * pmd_size(); at < vma->vm_end;
	     at += pmd_size()) {
		if (at < floor || at + pmd_size() > ceiling)
			continue;
		TableEntry<pmd_t> *pmd = pmd_offset(vma->vm_mm, at);
		const pmd_t entry = pmd->read_once();
		BUG_ON(pmd_trans_huge(entry));
		if (pmd_none(entry))
			continue;
		pmd->xchg({});
		tlb->tables.push_back(entry.table);
	}
}

/* The VMAs are in no tree any more; [floor, ceiling) is free of others. */
void free_pgtables(mmu_gather *tlb, const std::vector<vm_area_struct *> &vmas, std::uint64_t floor,
		   std::uint64_t ceiling)
{
	FRAME(free_pgtables);
	for (std::size_t i = 0; i < vmas.size(); ++i) {
		unlink_file_vma(vmas[i]);
		free_pgd_range(tlb, vmas[i], floor,
			       i + 1 < vmas.size() ? vmas[i + 1]->vm_start : ceiling);
	}
}

/* Closes the files. No locks held. */
void remove_vmas(const std::vector<vm_area_struct *> &vmas)
{
	for (vm_area_struct *vma : vmas) {
		fput(vma->vm_file);
		delete vma;
	}
}

} // namespace

pgoff_t linear_page_index(const vm_area_struct *vma, std::uint64_t address)
{
	return (address - vma->vm_start) / page_size() + vma->vm_pgoff;
}

vm_area_struct *vma_lookup(mm_struct *mm, std::uint64_t address)
{
	for (vm_area_struct *vma : mm->vmas) {
		if (address >= vma->vm_start && address < vma->vm_end)
			return vma;
	}
	return nullptr;
}

bool vma_is_shared_writable(const vm_area_struct *vma)
{
	const unsigned both = VM_SHARED | VM_MAYWRITE;
	return (vma->vm_flags & both) == both;
}

/*
 * mmap(2). A shared mapping of a file that is open for reading only is a private one that can never
 * be written to; one that may be written to keeps, with the file, its write access. The address,
 * or -EINVAL, -EBADF, -EACCES, -EOVERFLOW, -ENOMEM, -EPERM. Takes mmap_lock for write; may sleep.
 */
std::int64_t do_mmap(mm_struct *mm, file *f, loff_t offset, std::uint64_t len, int prot, int flags)
{
	FRAME(do_mmap);
	if (offset < 0 || offset % page_size() != 0 || len == 0)
		return -EINVAL;
	if (f == nullptr)
		return -EBADF;
	const std::uint64_t mapped = round_up(len, page_size());
	const pgoff_t pgoff = static_cast<pgoff_t>(offset) >> page_shift();
	if (mapped < len)
		return -ENOMEM;
	if (pgoff + (mapped >> page_shift()) < pgoff)
		return -EOVERFLOW;

	unsigned vm_flags = VM_MAYWRITE;
	if ((prot & PROT_READ) != 0)
		vm_flags |= VM_READ;
	if ((prot & PROT_WRITE) != 0)
		vm_flags |= VM_WRITE;
	if ((prot & PROT_EXEC) != 0)
		vm_flags |= VM_EXEC;
	const int type = flags & MAP_TYPE;
	if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) {
		if ((prot & PROT_WRITE) != 0 && (f->f_mode & FMODE_WRITE) == 0)
			return -EACCES;
		if ((f->f_mode & FMODE_WRITE) != 0)
			vm_flags |= VM_SHARED;
		else
			vm_flags &= ~unsigned{ VM_MAYWRITE };
	} else if (type != MAP_PRIVATE) {
		return -EINVAL;
	}
	if ((f->f_mode & FMODE_READ) == 0)
		return -EACCES;

	mm->mmap_lock.down_write();
	std::int64_t ret = -ENOMEM;
	const std::uint64_t address = thp_get_unmapped_area(mm, mapped, offset);
	if (address != kNoSpace) {
		ret = mmap_region(mm, f, address, mapped, vm_flags, pgoff);
		if (ret > 0)
			mm->mmap_base =
				std::max(mm->mmap_base, round_up(address + mapped, pmd_size()));
	}
	mm->mmap_lock.up_write();
	return ret;
}

/*
 * munmap(2): what is not mapped is no error. 0, -EINVAL. Takes mmap_lock for write, and goes on
 * with it shared once nobody can find the VMAs; may sleep.
 */
int do_munmap(mm_struct *mm, std::uint64_t address, std::uint64_t len)
{
	FRAME(do_munmap);
	const std::uint64_t end = address + round_up(len, page_size());
	if (address % page_size() != 0 || end <= address || end > task_size(mm))
		return -EINVAL;

	mm->mmap_lock.down_write();
	for (const std::uint64_t at : { address, end }) {
		vm_area_struct *vma = vma_lookup(mm, at);
		if (vma != nullptr && vma->vm_start < at)
			__split_vma(mm, vma, at);
	}
	const auto inside = [&](const vm_area_struct *vma) {
		return vma->vm_start >= address && vma->vm_end <= end;
	};
	const auto first = std::find_if(mm->vmas.begin(), mm->vmas.end(), inside);
	const auto behind = std::find_if_not(first, mm->vmas.end(), inside);
	if (first == behind) {
		mm->mmap_lock.up_write();
		return 0;
	}
	const std::vector<vm_area_struct *> detached(first, behind);
	const std::uint64_t floor = first == mm->vmas.begin() ? 0 : (*(first - 1))->vm_end;
	const std::uint64_t ceiling =
		behind == mm->vmas.end() ? task_size(mm) : (*behind)->vm_start;
	mm->vmas.erase(first, behind);
	mm->mmap_lock.downgrade_write();

	mmu_gather tlb;
	lru_add_drain();
	for (vm_area_struct *vma : detached)
		unmap_page_range(&tlb, vma, vma->vm_start, vma->vm_end, nullptr);
	free_pgtables(&tlb, detached, floor, ceiling);
	tlb_finish_mmu(&tlb);
	mm->mmap_lock.up_read();
	remove_vmas(detached);
	return 0;
}

/* May sleep. The mm_struct itself stays. */
void mmput(mm_struct *mm)
{
	FRAME(mmput);
	if (!mm->mm_users.dec_and_test())
		return;
	khugepaged_exit_mm(mm);
	exit_mmap(mm);
}

/* The process ends: nobody of its own uses the mm any more. Takes mmap_lock; may sleep. */
void exit_mmap(mm_struct *mm)
{
	FRAME(exit_mmap);
	mmu_gather tlb;
	mm->mmap_lock.down_read();
	if (!mm->vmas.empty()) {
		lru_add_drain();
		for (vm_area_struct *vma : mm->vmas)
			unmap_page_range(&tlb, vma, vma->vm_start, vma->vm_end, nullptr);
	}
	mm->mmap_lock.up_read();

	mm->mmap_lock.down_write();
	const std::vector<vm_area_struct *> vmas = std::move(mm->vmas);
	mm->vmas.clear();
	free_pgtables(&tlb, vmas, 0, task_size(mm));
	tlb_finish_mmu(&tlb);
	mm->mmap_lock.up_write();
	remove_vmas(vmas);
}

} // namespace kernel
