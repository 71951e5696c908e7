// SPDX-License-Identifier: GPL-2.0-only
// A user's loads and stores through a mapping: what the CPU does, and the fault that it takes where
// it cannot translate (arch/x86/mm/fault.c of 6.12).
//
// Left out: per-VMA locks (every fault takes mmap_lock). TLB flushes are immediate: a CPU's walk and
// the access it is made for are one operation as far as changes of the entry are concerned
// (table_entry.h).
#include <algorithm>

#include "engine/kernel/fault.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"
#include "scheduler/sync/retry_loop.h"

namespace kernel
{

namespace
{

/* The CPU could not translate: mmap_lock, VMA, fault, as often as it takes. 0 or an error. */
int do_user_addr_fault(mm_struct *mm, std::uint64_t address, bool write)
{
	FRAME(do_user_addr_fault);
	for (bool allow_retry = true;; allow_retry = false) {
		mm->mmap_lock.down_read();
		vm_area_struct *vma = vma_lookup(mm, address);
		const unsigned wanted = write ? VM_WRITE : VM_READ | VM_WRITE | VM_EXEC;
		if (vma == nullptr || (vma->vm_flags & wanted) == 0) {
			mm->mmap_lock.up_read();
			return -EFAULT;
		}
		const std::uint64_t page = address / page_size() * page_size();
		vm_fault vmf{ .vma = vma,
			      .address = page,
			      .pgoff = linear_page_index(vma, page),
			      .write = write,
			      .allow_retry = allow_retry };
		const unsigned ret = handle_mm_fault(&vmf);
		if ((ret & VM_FAULT_COMPLETED) != 0)
			return 0;
		if ((ret & VM_FAULT_RETRY) != 0)
			continue;
		mm->mmap_lock.up_read();
		if ((ret & VM_FAULT_SIGBUS) != 0)
			return -EIO;
		/* Without memory the instruction is simply repeated. */
		return (ret & VM_FAULT_SIGSEGV) != 0 ? -EFAULT : 0;
	}
}

/* ---- the CPU ---- */

/* A translation in use: until end(), its entries stay as they are. */
struct translation {
	TableEntry<pmd_t> *pmd;
	TableEntry<pte_t> *pte = nullptr;
	folio *f = nullptr;
	unsigned page = 0;

	void end()
	{
		if (pte != nullptr)
			pte->walk_end();
		pmd->walk_end();
	}
};

/* Walks the tables and sets accessed and dirty bits; false, with nothing held, means a fault. */
bool translate(mm_struct *mm, std::uint64_t address, bool write, translation *walk)
{
	const std::uint32_t needed = write ? PTE_PRESENT | PTE_WRITE : std::uint32_t{ PTE_PRESENT };
	const std::uint32_t set = accessed_bits(write);
	walk->pmd = pmd_offset(mm, address);
	walk->pte = nullptr;
	const pmd_t pmd = walk->pmd->walk();
	std::uint32_t bits = 0;
	if (pmd_trans_huge(pmd)) {
		bits = pmd.bits;
		walk->f = pmd.huge;
		walk->page = pte_index(address);
	} else if (pmd.table != nullptr) {
		walk->pte = pte_offset(pmd.table, address);
		const pte_t pte = walk->pte->walk();
		bits = pte.bits;
		walk->f = pte.f;
		walk->page = pte.page;
	}
	if ((bits & needed) != needed) {
		walk->end();
		return false;
	}
	if ((bits & set) != set) {
		if (walk->pte != nullptr)
			walk->pte->walk_set_bits(set);
		else
			walk->pmd->walk_set_bits(set);
	}
	return true;
}

/* What part of an access concerns a file, and where; a page's bytes behind the end of the file
 * belong to nobody. False for private pages. */
bool file_position(const translation &walk, std::uint64_t offset, std::size_t *len, inode **node,
		   loff_t *pos)
{
	const address_space *mapping = walk.f->mapping.look();
	if (folio_test_anon(walk.f) || mapping == nullptr)
		return false;
	*node = mapping->host;
	*pos = static_cast<loff_t>((walk.f->index.look() + walk.page) * page_size() + offset);
	const loff_t size = mapping->host->i_size.look();
	if (*pos >= size)
		return false;
	*len = std::min(*len, static_cast<std::size_t>(size - *pos));
	return true;
}

/* What file_position() leaves out. */
void tell_of_store_behind_end(const translation &walk, std::uint64_t offset, std::size_t len)
{
	const address_space *mapping = walk.f->mapping.look();
	if (folio_test_anon(walk.f) || mapping == nullptr)
		return;
	const auto pos =
		static_cast<loff_t>((walk.f->index.look() + walk.page) * page_size() + offset);
	const loff_t end = pos + static_cast<loff_t>(len);
	const loff_t begin = std::max(pos, mapping->host->i_size.look());
	if (begin < end)
		this_machine().watcher->store_behind_end(*mapping->host, begin,
							 static_cast<std::size_t>(end - begin));
}

/* Outside the tables there is nothing; across pages would be two accesses. */
bool valid_access(const mm_struct *mm, std::uint64_t address, std::size_t len)
{
	return pmd_index(address) < mm->pmd_count && address % page_size() + len <= page_size();
}

} // namespace

int access_load(mm_struct *mm, std::uint64_t address, void *to, std::size_t len)
{
	FRAME(access_load);
	if (!valid_access(mm, address, len))
		return -EFAULT;
	translation walk{};
	const interleaf::RetryLoop loop;
	while (!translate(mm, address, false, &walk)) {
		const int error = do_user_addr_fault(mm, address, false);
		if (error != 0)
			return error;
	}
	const std::uint64_t offset = address % page_size();
	folio_read_contents(walk.f, walk.page * std::size_t{ page_size() } + offset, to, len);
	inode *node;
	loff_t pos;
	if (file_position(walk, offset, &len, &node, &pos)) {
		observer &watcher = *this_machine().watcher;
		const unsigned handle = watcher.read_begin(*node, pos, len);
		watcher.read_end(handle, to, static_cast<long>(len));
	}
	walk.end();
	return 0;
}

int access_store(mm_struct *mm, std::uint64_t address, const void *from, std::size_t len)
{
	FRAME(access_store);
	if (!valid_access(mm, address, len))
		return -EFAULT;
	translation walk{};
	const interleaf::RetryLoop loop;
	while (!translate(mm, address, true, &walk)) {
		const int error = do_user_addr_fault(mm, address, true);
		if (error != 0)
			return error;
	}
	const std::uint64_t offset = address % page_size();
	folio_write_contents(walk.f, walk.page * std::size_t{ page_size() } + offset, from, len);
	tell_of_store_behind_end(walk, offset, len);
	inode *node;
	loff_t pos;
	if (file_position(walk, offset, &len, &node, &pos)) {
		observer &watcher = *this_machine().watcher;
		const unsigned handle = watcher.write_begin(*node, pos, from, len);
		watcher.write_end(handle, static_cast<long>(len));
	}
	walk.end();
	return 0;
}

} // namespace kernel
