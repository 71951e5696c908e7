// SPDX-License-Identifier: GPL-2.0-only
// Page tables: finding, locking, allocating and freeing them (mm/pgtable-generic.c and parts of
// mm/memory.c, mm/huge_memory.c of 6.12).
//
// Left out: levels above the PMD, swap and migration entries, NUMA hints, deposited tables, the
// accounting of tables. TLB flushes are immediate (table_entry.h), so clearing an entry and
// flushing it is one step.
//
// Lock order: mmap_lock -> i_mmap_rwsem -> pmd_lock -> ptl. A table is freed after a grace period
// if walkers without mmap_lock may be in it.
#include "engine/kernel/page_table.h"

#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/writeback.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass mmap_lock_class{ "mmap_lock" };
constexpr interleaf::LockClass pmd_lock_class{ "pmd_lock" };
constexpr interleaf::LockClass ptl_class{ "ptl" };

} // namespace

pte_table::pte_table() : ptl(ptl_class), ptes(new TableEntry<pte_t>[hpage_pages()]) {}

pte_table::~pte_table()
{
	delete[] ptes;
}

/* The first PMD's addresses are never handed out: null stays invalid. */
mm_struct::mm_struct(const char *owner, unsigned pmds_max)
	: mmap_lock(mmap_lock_class), pmd_lock(pmd_lock_class),
	  pmds(new TableEntry<pmd_t>[pmds_max]), pmd_count(pmds_max), mmap_base(pmd_size()),
	  name(owner)
{
	CHECK(pmds_max >= 2);
}

std::uint64_t pmd_size()
{
	return std::uint64_t{ hpage_pages() } * page_size();
}

unsigned pte_index(std::uint64_t address)
{
	return static_cast<unsigned>(address / page_size() % hpage_pages());
}

std::uint64_t pmd_addr_end(std::uint64_t address, std::uint64_t end)
{
	const std::uint64_t next = (address / pmd_size() + 1) * pmd_size();
	return std::min(next, end);
}

pte_table *pte_offset_map(mm_struct *mm, std::uint64_t address)
{
	rcu_read_lock();
	const pmd_t pmd = pmd_offset(mm, address)->read_once();
	if (pmd.table == nullptr)
		rcu_read_unlock();
	return pmd.table;
}

/*
 * The lock is taken first and the entry read again: whoever detaches a table holds its lock, so a
 * table that is still attached under its lock stays so.
 */
pte_table *pte_offset_map_lock(mm_struct *mm, std::uint64_t address)
{
	for (;;) {
		pte_table *table = pte_offset_map(mm, address);
		if (table == nullptr)
			return nullptr;
		table->ptl.lock();
		if (pmd_offset(mm, address)->read_once().table == table)
			return table;
		pte_unmap_unlock(table);
	}
}

void pte_unmap([[maybe_unused]] pte_table *table)
{
	rcu_read_unlock();
}

void pte_unmap_unlock(pte_table *table)
{
	table->ptl.unlock();
	pte_unmap(table);
}

pte_table *pte_alloc_one()
{
	if (should_fail("page table"))
		return nullptr;
	return new pte_table;
}

void pte_free(pte_table *table)
{
	delete table;
}

void pte_free_defer(pte_table *table)
{
	static_assert(offsetof(pte_table, rcu) == 0);
	rcu().call(&table->rcu,
		   [](interleaf::RcuHead *head) { pte_free(reinterpret_cast<pte_table *>(head)); });
}

void pmd_install(mm_struct *mm, std::uint64_t address, pte_table **table)
{
	TableEntry<pmd_t> *pmd = pmd_offset(mm, address);
	mm->pmd_lock.lock();
	if (pmd_none(pmd->read_once())) {
		/* The table's contents are there before it can be found: walkers need no lock. */
		pmd->write_once({ .table = *table });
		*table = nullptr;
	}
	mm->pmd_lock.unlock();
}

bool thp_vma_suitable_order(const vm_area_struct *vma, std::uint64_t address)
{
	const std::uint64_t haddr = address / pmd_size() * pmd_size();
	if ((vma->vm_start / page_size() - vma->vm_pgoff) % hpage_pages() != 0)
		return false;
	return haddr >= vma->vm_start && haddr + pmd_size() <= vma->vm_end;
}

/* May be called for an entry that is not huge (any more): then it does nothing. Requires: the VMA
 * cannot go away (mmap_lock or i_mmap_rwsem). */
void __split_huge_pmd(vm_area_struct *vma, std::uint64_t address)
{
	FRAME(__split_huge_pmd);
	mm_struct *mm = vma->vm_mm;
	TableEntry<pmd_t> *pmd = pmd_offset(mm, address);

	mm->pmd_lock.lock();
	if (pmd_trans_huge(pmd->read_once())) {
		const pmd_t old = pmd->xchg({});
		if ((old.bits & PTE_DIRTY) != 0)
			folio_mark_dirty(old.huge);
		if ((old.bits & PTE_YOUNG) != 0)
			folio_set_referenced(old.huge);
		folio_remove_rmap_pmd(old.huge);
		folio_put(old.huge);
	}
	mm->pmd_lock.unlock();
}

/*
 * Maps a whole folio of PMD order, if the VMA allows and the entry is empty. 0: mapped, the
 * caller's reference now belongs to the entry. VM_FAULT_FALLBACK: not, and why does not matter.
 * Requires: mmap_lock, folio lock.
 */
unsigned do_set_pmd(vm_fault *vmf, folio *f)
{
	FRAME(do_set_pmd);
	vm_area_struct *vma = vmf->vma;
	if ((vma->vm_flags & VM_NOHUGEPAGE) != 0 || !thp_vma_suitable_order(vma, vmf->address))
		return VM_FAULT_FALLBACK;
	if (folio_order(f) != hpage_order())
		return VM_FAULT_FALLBACK;

	mm_struct *mm = vma->vm_mm;
	TableEntry<pmd_t> *pmd = pmd_offset(mm, vmf->address);
	unsigned ret = VM_FAULT_FALLBACK;
	mm->pmd_lock.lock();
	if (pmd_none(pmd->read_once())) {
		std::uint32_t bits = PTE_PRESENT | PTE_YOUNG;
		if (vmf->write)
			bits |= PTE_DIRTY | PTE_WRITE;
		folio_add_file_rmap_pmd(f);
		pmd->write_once({ .huge = f, .bits = bits });
		ret = 0;
	}
	mm->pmd_lock.unlock();
	return ret;
}

} // namespace kernel
