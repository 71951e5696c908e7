// SPDX-License-Identifier: GPL-2.0-only
// Page faults on file mappings, and a user's loads and stores through them (mm/memory.c,
// arch/x86/mm/fault.c of 6.12).
//
// Left out: anonymous VMAs, swap, NUMA, userfaultfd, DAX and huge_fault, fork (an anonymous page is
// always exclusive), per-VMA locks (every fault takes mmap_lock), LRU for anonymous pages (nothing
// here reclaims them), mm counters. Every filesystem here has ->page_mkwrite. TLB flushes are
// immediate: a CPU's walk and the access it is made for are one operation as far as changes of the
// entry are concerned (table_entry.h).
//
// Lock order: mmap_lock -> invalidate_lock -> folio lock -> pmd_lock, ptl.
#include <algorithm>

#include "engine/kernel/bug.h"
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

bool vma_is_shared(const vm_area_struct *vma)
{
	return (vma->vm_flags & VM_SHARED) != 0;
}

/* What a CPU sets in the entry that it uses. */
std::uint32_t accessed_bits(bool write)
{
	return write ? PTE_YOUNG | PTE_DIRTY : std::uint32_t{ PTE_YOUNG };
}

/* Whoever is first makes the VMA one with private pages. mmap_lock shared: there may be two. */
void anon_vma_prepare(vm_area_struct *vma)
{
	if (vma->anon_vma_.read_once() != nullptr)
		return;
	vma->vm_mm->pmd_lock.lock();
	if (vma->anon_vma_.load() == nullptr)
		vma->anon_vma_.write_once(&vma->own_anon_vma);
	vma->vm_mm->pmd_lock.unlock();
}

/* A page of the process's own, with one reference; null if there is no memory. */
folio *folio_prealloc()
{
	folio *f = folio_alloc(0);
	if (f != nullptr)
		f->flags.poke(PG_anon, true);
	return f;
}

/* ---- faults on an empty entry ---- */

/* ->fault, with a table at hand for what follows. The folio is referenced and locked. */
unsigned __do_fault(vm_fault *vmf)
{
	FRAME(__do_fault);
	TableEntry<pmd_t> *pmd = pmd_offset(vmf->vma->vm_mm, vmf->address);
	/* With a folio locked there must be no allocation that waits for writeback. */
	if (pmd_none(pmd->read_once()) && vmf->prealloc_pte == nullptr) {
		vmf->prealloc_pte = pte_alloc_one();
		if (vmf->prealloc_pte == nullptr)
			return VM_FAULT_OOM;
	}
	const unsigned ret = filesystem_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) == 0)
		VM_BUG_ON_FOLIO(!vmf->page_folio->lock.look_locked(), vmf->page_folio);
	return ret;
}

/*
 * Puts the result of __do_fault, or the private copy of it, into the page table; the reference goes
 * with it. VM_FAULT_NOPAGE: somebody else was there first.
 */
unsigned finish_fault(vm_fault *vmf)
{
	FRAME(finish_fault);
	mm_struct *mm = vmf->vma->vm_mm;
	const bool is_cow = vmf->write && !vma_is_shared(vmf->vma);
	folio *f = is_cow ? vmf->cow_folio : vmf->page_folio;
	const unsigned page = is_cow ? 0 : static_cast<unsigned>(vmf->pgoff - f->index.load());

	if (pmd_none(pmd_offset(mm, vmf->address)->read_once())) {
		if (folio_order(f) == hpage_order()) {
			const unsigned ret = do_set_pmd(vmf, f);
			if (ret != VM_FAULT_FALLBACK)
				return ret;
		}
		if (vmf->prealloc_pte == nullptr) {
			vmf->prealloc_pte = pte_alloc_one();
			if (vmf->prealloc_pte == nullptr)
				return VM_FAULT_OOM;
		}
		pmd_install(mm, vmf->address, &vmf->prealloc_pte);
	}
	pte_table *table = pte_offset_map_lock(mm, vmf->address);
	if (table == nullptr)
		return VM_FAULT_NOPAGE;
	unsigned ret = 0;
	if (pte_none(pte_offset(table, vmf->address)->read_once()))
		set_pte_range(vmf, table, f, page, 1, vmf->address);
	else
		ret = VM_FAULT_NOPAGE;
	pte_unmap_unlock(table);
	return ret;
}

/* Maps what the cache has around the address: an aligned window, inside the VMA and the table. */
unsigned do_fault_around(vm_fault *vmf)
{
	FRAME(do_fault_around);
	const vm_area_struct *vma = vmf->vma;
	const pgoff_t nr_pages = this_machine().geo.fault_around_pages;
	const pgoff_t pte_off = pte_index(vmf->address);
	const pgoff_t vma_off = vmf->pgoff - vma->vm_pgoff;
	const pgoff_t vma_pages = (vma->vm_end - vma->vm_start) / page_size();
	const pgoff_t from =
		std::max(pte_off / nr_pages * nr_pages, pte_off - std::min(pte_off, vma_off));
	const pgoff_t to = std::min({ from + nr_pages, pgoff_t{ hpage_pages() },
				      pte_off + vma_pages - vma_off }) -
			   1;

	if (pmd_none(pmd_offset(vma->vm_mm, vmf->address)->read_once())) {
		vmf->prealloc_pte = pte_alloc_one();
		if (vmf->prealloc_pte == nullptr)
			return VM_FAULT_OOM;
	}
	rcu_read_lock();
	const unsigned ret =
		filemap_map_pages(vmf, vmf->pgoff + from - pte_off, vmf->pgoff + to - pte_off);
	rcu_read_unlock();
	return ret;
}

unsigned do_read_fault(vm_fault *vmf)
{
	FRAME(do_read_fault);
	if (this_machine().geo.fault_around_pages > 1) {
		const unsigned ret = do_fault_around(vmf);
		if (ret != 0)
			return ret;
	}
	unsigned ret = __do_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) != 0)
		return ret;
	ret |= finish_fault(vmf);
	folio_unlock(vmf->page_folio);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) != 0)
		folio_put(vmf->page_folio);
	return ret;
}

/* A store to a private mapping: the process gets a copy, made under the folio lock. */
unsigned do_cow_fault(vm_fault *vmf)
{
	FRAME(do_cow_fault);
	anon_vma_prepare(vmf->vma);
	vmf->cow_folio = folio_prealloc();
	if (vmf->cow_folio == nullptr)
		return VM_FAULT_OOM;
	unsigned ret = __do_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) == 0) {
		folio *f = vmf->page_folio;
		folio_copy_page(vmf->cow_folio, 0, f,
				static_cast<unsigned>(vmf->pgoff - f->index.load()));
		folio_set_uptodate(vmf->cow_folio);
		ret |= finish_fault(vmf);
		folio_unlock(f);
		folio_put(f);
	}
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) != 0)
		folio_put(vmf->cow_folio);
	return ret;
}

/* ---- stores to shared mappings ---- */

/* Asks the filesystem. VM_FAULT_LOCKED: granted, folio locked. VM_FAULT_NOPAGE: fault again. */
unsigned do_page_mkwrite(vm_fault *vmf)
{
	FRAME(do_page_mkwrite);
	const unsigned ret = filemap_page_mkwrite(vmf);
	if ((ret & VM_FAULT_LOCKED) != 0)
		VM_BUG_ON_FOLIO(!vmf->page_folio->lock.look_locked(), vmf->page_folio);
	return ret;
}

/*
 * The page is mapped writable and dirty; its folio, locked here, must know. Drops the folio lock
 * and throttles the writer, without mmap_lock if the fault may drop it: VM_FAULT_COMPLETED.
 */
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

unsigned do_shared_fault(vm_fault *vmf)
{
	FRAME(do_shared_fault);
	unsigned ret = __do_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)) != 0)
		return ret;
	folio *f = vmf->page_folio;
	folio_unlock(f);
	const unsigned granted = do_page_mkwrite(vmf);
	if (granted == 0 || (granted & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) != 0) {
		folio_put(f);
		return granted;
	}
	ret |= finish_fault(vmf);
	if ((ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE)) != 0) {
		folio_unlock(f);
		folio_put(f);
		return ret;
	}
	return ret | fault_dirty_shared_page(vmf);
}

unsigned do_fault(vm_fault *vmf)
{
	FRAME(do_fault);
	unsigned ret;
	if (!vmf->write)
		ret = do_read_fault(vmf);
	else if (!vma_is_shared(vmf->vma))
		ret = do_cow_fault(vmf);
	else
		ret = do_shared_fault(vmf);
	/* Never seen by anybody. */
	if (vmf->prealloc_pte != nullptr) {
		pte_free(vmf->prealloc_pte);
		vmf->prealloc_pte = nullptr;
	}
	return ret;
}

/* ---- stores to a write-protected entry ---- */

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

/* PTL held; dropped here. */
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

/* ---- which kind of fault it is ---- */

unsigned handle_pte_fault(vm_fault *vmf)
{
	FRAME(handle_pte_fault);
	mm_struct *mm = vmf->vma->vm_mm;
	pte_table *table = nullptr;
	if (!pmd_none(pmd_offset(mm, vmf->address)->read_once())) {
		table = pte_offset_map(mm, vmf->address);
		if (table == nullptr)
			return 0;
		vmf->orig_pte = pte_offset(table, vmf->address)->read_once();
		if (pte_none(vmf->orig_pte)) {
			pte_unmap(table);
			table = nullptr;
		}
	}
	if (table == nullptr)
		return do_fault(vmf);

	table->ptl.lock();
	TableEntry<pte_t> *entry = pte_offset(table, vmf->address);
	if (!pte_same(entry->read_once(), vmf->orig_pte)) {
		pte_unmap_unlock(table);
		return 0;
	}
	if (vmf->write && !pte_write(vmf->orig_pte))
		return do_wp_page(vmf, table);
	pte_t young = vmf->orig_pte;
	young.bits |= accessed_bits(vmf->write);
	if (!pte_same(young, vmf->orig_pte))
		entry->write_once(young);
	pte_unmap_unlock(table);
	return 0;
}

unsigned __handle_mm_fault(vm_fault *vmf)
{
	const pmd_t pmd = pmd_offset(vmf->vma->vm_mm, vmf->address)->read_once();
	if (pmd_trans_huge(pmd)) {
		/* A PMD is made writable by a store only; a later one goes page by page. */
		if (!vmf->write || (pmd.bits & PTE_WRITE) != 0)
			return 0;
		__split_huge_pmd(vmf->vma, vmf->address);
	}
	return handle_pte_fault(vmf);
}

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

/* Installs entries that must be empty. Read faults map read-only even if the VMA is writable:
 * the first store must be noticed. */
void set_pte_range(vm_fault *vmf, pte_table *table, folio *f, unsigned page, unsigned nr,
		   std::uint64_t address)
{
	std::uint32_t bits = PTE_PRESENT | PTE_YOUNG;
	if (vmf->write)
		bits |= PTE_DIRTY | PTE_WRITE;
	if (folio_test_anon(f))
		folio_add_new_anon_rmap(f);
	else
		folio_add_file_rmap_ptes(f, nr);
	for (unsigned i = 0; i < nr; ++i) {
		pte_offset(table, address + std::uint64_t{ i } * page_size())
			->write_once({ .f = f, .page = page + i, .bits = bits });
	}
}

/* At most once per system call or instruction, or two tasks might starve each other. */
file *maybe_unlock_mmap_for_io(vm_fault *vmf, file *fpin)
{
	if (fpin != nullptr || !vmf->allow_retry || vmf->mmap_lock_dropped)
		return fpin;
	fpin = vmf->vma->vm_file;
	get_file(fpin);
	vmf->vma->vm_mm->mmap_lock.up_read();
	vmf->mmap_lock_dropped = true;
	return fpin;
}

/*
 * Makes one page accessible, or finds that somebody else did. VM_FAULT_RETRY and
 * VM_FAULT_COMPLETED: mmap_lock was dropped, the VMA may be gone. Requires: mmap_lock shared and
 * the address in a VMA that allows the access. May sleep.
 */
unsigned handle_mm_fault(vm_fault *vmf)
{
	FRAME(handle_mm_fault);
	return __handle_mm_fault(vmf);
}

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
