// SPDX-License-Identifier: GPL-2.0-only
// Page tables from the inside (mm/internal.h, mm/pgtable-generic.c, include/asm-generic/tlb.h of
// 6.12): what faults, zapping, unmapping and the reverse mapping have in common.
#pragma once

#include <vector>

#include "engine/kernel/mm.h"

namespace kernel
{

inline bool pte_same(pte_t a, pte_t b)
{
	return a.f == b.f && a.page == b.page && a.bits == b.bits;
}
inline bool pmd_same(pmd_t a, pmd_t b)
{
	return a.table == b.table && a.huge == b.huge && a.bits == b.bits;
}
inline bool pte_young(pte_t pte)
{
	return (pte.bits & PTE_YOUNG) != 0;
}

/* The entry of this address, whatever it holds. */
inline TableEntry<pmd_t> *pmd_offset(mm_struct *mm, std::uint64_t address)
{
	return &mm->pmds[pmd_index(address)];
}
inline TableEntry<pte_t> *pte_offset(pte_table *table, std::uint64_t address)
{
	return &table->ptes[pte_index(address)];
}
/* Where the PMD's range ends, or `end` if that is nearer. */
std::uint64_t pmd_addr_end(std::uint64_t address, std::uint64_t end);

/*
 * The table under this address, or null if there is none. With a table the caller is inside an
 * RCU read section, which pte_unmap() leaves; the table may be detached meanwhile, unless its lock
 * was taken too (the second form, which pte_unmap_unlock() ends).
 */
pte_table *pte_offset_map(mm_struct *mm, std::uint64_t address);
pte_table *pte_offset_map_lock(mm_struct *mm, std::uint64_t address);
void pte_unmap(pte_table *table);
void pte_unmap_unlock(pte_table *table);

/* Null if it fails (a choice). Frees at once; the second one after a grace period. */
pte_table *pte_alloc_one();
void pte_free(pte_table *table);
void pte_free_defer(pte_table *table);
/* Puts *table into the empty entry and sets it to null; leaves it if the entry is taken. */
void pmd_install(mm_struct *mm, std::uint64_t address, pte_table **table);

/* A PMD-order folio of this VMA may be mapped around `address` as far as VMA and file go. */
bool thp_vma_suitable_order(const vm_area_struct *vma, std::uint64_t address);
/* Requires: mmap_lock. May sleep. 0. pageout.cc */
int madvise_pageout(vm_area_struct *vma, std::uint64_t start, std::uint64_t end);
/* File mappings: a huge entry is removed, and whoever needs it faults again. */
void __split_huge_pmd(vm_area_struct *vma, std::uint64_t address);
unsigned do_set_pmd(vm_fault *vmf, folio *f);
/* Maps pages of a file folio, or the one anonymous page, into consecutive empty entries; PTL held.
 * References are the caller's. */
void set_pte_range(vm_fault *vmf, pte_table *table, folio *f, unsigned page, unsigned nr,
		   std::uint64_t address);
/* Drops mmap_lock before I/O if this fault may; the file is then pinned. See filemap_fault. */
file *maybe_unlock_mmap_for_io(vm_fault *vmf, file *fpin);

/* References and reverse mappings of entries that were removed, until their translations are
 * gone from the TLBs. */
struct mmu_gather {
	std::vector<folio *> rmaps; /* still counted as mapped: dirty ones, up to the PTL's end */
	std::vector<folio *> folios; /* a reference each */
	std::vector<pte_table *> tables;
};
void tlb_finish_mmu(mmu_gather *tlb);

/* What a zap spares. Null stands for nothing. */
struct zap_details {
	folio *single_folio = nullptr; /* this one must be unmapped on return: its lock is held */
	bool even_cows = false; /* anonymous pages too */
};
/* Requires: mmap_lock, or i_mmap_rwsem of the VMA's file. */
void unmap_page_range(mmu_gather *tlb, vm_area_struct *vma, std::uint64_t start, std::uint64_t end,
		      const zap_details *details);

} // namespace kernel
