// SPDX-License-Identifier: GPL-2.0-only
// Address spaces of processes: VMAs, page tables, faults, reverse mapping.
//
// Page tables have two levels here: a PMD entry per hpage_pages() pages, and below it either a
// table of PTEs or a huge mapping. Every table has its own lock (split PTL), PMD entries share one
// lock per mm. Entries are read without locks by the walkers that do so in Linux.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/table_entry.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/spinlock.h"

namespace kernel
{

enum vm_flags_t : unsigned {
	VM_READ = 1,
	VM_WRITE = 2,
	VM_EXEC = 4,
	VM_SHARED = 8,
	VM_MAYWRITE = 16,
	VM_HUGEPAGE = 32,
	VM_NOHUGEPAGE = 64,
};

enum pte_bits : unsigned { PTE_PRESENT = 1, PTE_WRITE = 2, PTE_DIRTY = 4, PTE_YOUNG = 8 };

/* A page table entry: one page of a folio. */
struct pte_t {
	folio *f = nullptr;
	std::uint32_t page = 0; /* which page of the folio */
	std::uint32_t bits = 0;

	static constexpr const interleaf::BlockType &entries = pte_entries_block;
};
inline bool pte_none(pte_t pte)
{
	return pte.f == nullptr;
}
inline bool pte_present(pte_t pte)
{
	return (pte.bits & PTE_PRESENT) != 0;
}
inline bool pte_write(pte_t pte)
{
	return (pte.bits & PTE_WRITE) != 0;
}
inline bool pte_dirty(pte_t pte)
{
	return (pte.bits & PTE_DIRTY) != 0;
}

struct pte_table {
	interleaf::RcuHead rcu;
	interleaf::Spinlock ptl;
	TableEntry<pte_t> *ptes; /* hpage_pages() of them */

	pte_table();
	~pte_table();
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, pte_table_block);
	}
};

/* A PMD entry: nothing, a table, or a huge mapping of a PMD-order folio. */
struct pmd_t {
	pte_table *table = nullptr;
	folio *huge = nullptr;
	std::uint32_t bits = 0; /* of a huge mapping */

	static constexpr const interleaf::BlockType &entries = pmd_entries_block;
};
inline bool pmd_none(pmd_t pmd)
{
	return pmd.table == nullptr && pmd.huge == nullptr;
}
inline bool pmd_trans_huge(pmd_t pmd)
{
	return pmd.huge != nullptr;
}

struct anon_vma {
	vm_area_struct *vma;
};

struct vm_area_struct {
	mm_struct *vm_mm = nullptr;
	std::uint64_t vm_start = 0; /* bytes */
	std::uint64_t vm_end = 0;
	pgoff_t vm_pgoff = 0; /* of vm_start, in the file */
	unsigned vm_flags = 0;
	file *vm_file = nullptr; /* holds a reference */
	interleaf::Shared<struct anon_vma *> anon_vma_; /* set by the first private COW page */
	struct anon_vma own_anon_vma {
		this
	};

	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, vm_area_struct_block);
	}
};

struct mm_struct {
	interleaf::Rwsem mmap_lock;
	interleaf::Spinlock pmd_lock; /* all PMD entries of this mm */
	std::vector<vm_area_struct *> vmas; /* mmap_lock; ascending addresses */
	TableEntry<pmd_t> *pmds; /* by address / PMD size */
	unsigned pmd_count;
	std::uint64_t mmap_base; /* next free address, PMD aligned */
	interleaf::Atomic<int> mm_users{ 1 };
	const char *name;

	mm_struct(const char *owner, unsigned pmds_max);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, mm_struct_block);
	}
};

std::uint64_t pmd_size();
inline unsigned pmd_index(std::uint64_t address)
{
	return static_cast<unsigned>(address / pmd_size());
}
unsigned pte_index(std::uint64_t address);
pgoff_t linear_page_index(const vm_area_struct *vma, std::uint64_t address);
vm_area_struct *vma_lookup(mm_struct *mm, std::uint64_t address); /* mmap_lock held */
bool vma_is_shared_writable(const vm_area_struct *vma);

/* mmap.cc, madvise.cc: system calls' insides; address or negative errno. */
std::int64_t do_mmap(mm_struct *mm, file *f, loff_t offset, std::uint64_t len, int prot, int flags);
int do_munmap(mm_struct *mm, std::uint64_t address, std::uint64_t len);
int do_madvise(mm_struct *mm, std::uint64_t address, std::uint64_t len, int advice);
int do_msync(mm_struct *mm, std::uint64_t address, std::uint64_t len, int flags);
void exit_mmap(mm_struct *mm);
void mmput(mm_struct *mm); /* the last user: khugepaged_exit_mm, exit_mmap */

/* A user's load or store through the mapping: walks the tables as the CPU does, faults as needed.
 * Loads and stores do not cross pages here. 0, or -EFAULT (SIGSEGV), -EIO (SIGBUS). */
int access_load(mm_struct *mm, std::uint64_t address, void *to, std::size_t len);
int access_store(mm_struct *mm, std::uint64_t address, const void *from, std::size_t len);

/* memory.cc: faults. */
enum vm_fault_t : unsigned {
	VM_FAULT_OOM = 1,
	VM_FAULT_SIGBUS = 2,
	VM_FAULT_SIGSEGV = 4,
	VM_FAULT_NOPAGE = 8,
	VM_FAULT_LOCKED = 16,
	VM_FAULT_RETRY = 32,
	VM_FAULT_COMPLETED = 64, /* done, and mmap_lock was dropped */
	VM_FAULT_FALLBACK = 128, /* not with a huge entry: the caller tries a PTE */
	VM_FAULT_ERROR = VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV,
};
struct vm_fault {
	vm_area_struct *vma;
	std::uint64_t address; /* page aligned */
	pgoff_t pgoff;
	bool write = false;
	bool allow_retry = false; /* mmap_lock may be dropped */
	bool mmap_lock_dropped = false; /* and was */
	folio *page_folio = nullptr; /* result of ->fault: referenced, locked if VM_FAULT_LOCKED */
	folio *cow_folio = nullptr;
	pte_t orig_pte = {}; /* what the entry was when the fault looked */
	pte_table *prealloc_pte = nullptr; /* a table for those who may not allocate */
};
unsigned handle_mm_fault(vm_fault *vmf);
/* fault: filemap_fault.cc. */
unsigned filesystem_fault(vm_fault *vmf);
unsigned filemap_fault(vm_fault *vmf);
unsigned filemap_map_pages(vm_fault *vmf, pgoff_t start, pgoff_t end);
/* The filesystem's ->page_mkwrite according to its persona. */
unsigned filemap_page_mkwrite(vm_fault *vmf);
/*
 * For ->page_mkwrite: locks the folio if it is still a page of this file; `used` becomes how much of it
 * lies inside. False: truncated, and not locked. page_mkwrite.cc
 */
bool lock_for_mkwrite(folio *f, const address_space *mapping, std::size_t *used);

/* Zapping (P9). */
void zap_page_range(vm_area_struct *vma, std::uint64_t start, std::uint64_t end, bool even_cows);
void unmap_mapping_range(address_space *mapping, loff_t start, loff_t len, bool even_cows);
void unmap_mapping_pages(address_space *mapping, pgoff_t start, pgoff_t nr, bool even_cows);
void unmap_mapping_folio(folio *f); /* folio lock held */

/* rmap.cc. */
enum ttu_flags : unsigned {
	TTU_IGNORE_MLOCK = 1,
	TTU_BATCH_FLUSH = 2,
	TTU_SYNC = 4,
	TTU_SPLIT_HUGE_PMD = 8,
};
void try_to_unmap(folio *f, unsigned flags); /* folio lock held */
void try_to_unmap_flush();
int folio_mkclean(folio *f); /* write-protects and cleans; number of dirty entries */
void folio_add_new_anon_rmap(folio *f);
void folio_add_file_rmap_ptes(folio *f, unsigned nr_pages);
void folio_add_file_rmap_pmd(folio *f);
void folio_remove_rmap_ptes(folio *f, unsigned nr_pages);
void folio_remove_rmap_pmd(folio *f);

} // namespace kernel
