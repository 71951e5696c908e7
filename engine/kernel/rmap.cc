// SPDX-License-Identifier: GPL-2.0-only
// From a file folio to the page tables that map it (mm/rmap.c, mm/page_vma_mapped.c of 6.12).
//
// Left out: anonymous and KSM folios, hugetlb, migration, mlock, device-exclusive entries, mmu
// notifiers. TLB flushes are immediate (table_entry.h), so TTU_BATCH_FLUSH defers nothing and
// try_to_unmap_flush() finds nothing left to do; stores through stale translations between the two
// are not modelled.
//
// Lock order: folio lock -> i_mmap_rwsem -> pmd_lock or ptl -> i_pages.xa_lock (folio_mark_dirty).
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/*
 * Steps through the entries of one VMA that map one folio. At each of them the entry's lock is
 * held: entry_ for a PTE (inside an RCU section), huge_ for a huge PMD.
 */
class page_vma_mapped_walk {
public:
	/* sync: waits for whoever is just now taking the folio out of an entry. */
	page_vma_mapped_walk(folio *f, vm_area_struct *vma, bool sync)
		: f_(f), vma_(vma), sync_(sync)
	{
		const pgoff_t index = f->index.load();
		const pgoff_t vba = vma->vm_pgoff;
		const pgoff_t vea = vba + (vma->vm_end - vma->vm_start) / page_size();
		const pgoff_t first = std::max(index, vba);
		const pgoff_t end = std::min(index + folio_nr_pages(f), vea);
		if (first < end) {
			address_ = vma->vm_start + (first - vba) * page_size();
			end_ = vma->vm_start + (end - vba) * page_size();
		}
	}

	/* To the next entry that maps the folio; false at the end, with nothing held. */
	bool next();
	/* Gives up where it is. */
	void done();

	TableEntry<pte_t> *pte() const { return pte_offset(table_, address_); }
	TableEntry<pmd_t> *pmd() const { return pmd_offset(vma_->vm_mm, address_); }
	bool is_huge() const { return huge_; }
	std::uint64_t address() const { return address_; }
	/* Looks at this address again: its PMD has changed. */
	void restart()
	{
		done();
		at_entry_ = false;
	}

private:
	bool map_pte();

	folio *f_;
	vm_area_struct *vma_;
	std::uint64_t address_ = 0;
	std::uint64_t end_ = 0;
	pte_table *table_ = nullptr; /* mapped, and its lock is held if locked_ */
	bool locked_ = false;
	bool huge_ = false; /* pmd_lock is held */
	bool at_entry_ = false; /* address_ was returned */
	bool sync_;
};

void page_vma_mapped_walk::done()
{
	if (huge_)
		vma_->vm_mm->pmd_lock.unlock();
	else if (table_ != nullptr && locked_)
		pte_unmap_unlock(table_);
	else if (table_ != nullptr)
		pte_unmap(table_);
	huge_ = false;
	locked_ = false;
	table_ = nullptr;
}

/* Maps the table at address_. Without sync the lock is taken only once an entry is present. */
bool page_vma_mapped_walk::map_pte()
{
	if (sync_) {
		table_ = pte_offset_map_lock(vma_->vm_mm, address_);
		locked_ = table_ != nullptr;
	} else {
		table_ = pte_offset_map(vma_->vm_mm, address_);
	}
	return table_ != nullptr;
}

bool page_vma_mapped_walk::next()
{
	if (at_entry_) {
		address_ = huge_ ? end_ : address_ + page_size();
		if (huge_ || (table_ != nullptr && address_ % pmd_size() == 0))
			done();
		at_entry_ = false;
	}
	while (address_ < end_) {
		if (table_ == nullptr) {
			const pmd_t entry = pmd()->read_once();
			if (pmd_trans_huge(entry)) {
				vma_->vm_mm->pmd_lock.lock();
				huge_ = true;
				const pmd_t again = pmd()->read_once();
				if (again.huge == f_) {
					at_entry_ = true;
					return true;
				}
				done();
				if (pmd_trans_huge(again))
					return false;
				continue;
			}
			if (pmd_none(entry)) {
				/* A zap may have cleared the entry and not yet dropped the
				 * mapping from the folio's count; see zap_pmd(). */
				if (sync_ && thp_vma_suitable_order(vma_, address_) &&
				    folio_nr_pages(f_) >= hpage_pages()) {
					vma_->vm_mm->pmd_lock.lock();
					vma_->vm_mm->pmd_lock.unlock();
				}
				address_ = pmd_addr_end(address_, end_);
				continue;
			}
			if (!map_pte())
				continue;
		}
		if (!locked_ && pte_present(pte()->read_once())) {
			table_->ptl.lock();
			locked_ = true;
		}
		if (locked_ && pte()->read_once().f == f_) {
			at_entry_ = true;
			return true;
		}
		address_ += page_size();
		if (address_ % pmd_size() == 0)
			done();
	}
	done();
	return false;
}

/* Whether an unmapping walk may end early. */
bool folio_not_mapped(const folio *f)
{
	FRAME(folio_not_mapped);
	return !folio_mapped(f);
}

/* Calls one(f, vma) for every VMA that may map the folio, until `enough` says so. Folio locked. */
template <typename One, typename Enough>
void rmap_walk_file(folio *f, One one, Enough enough)
{
	FRAME(rmap_walk_file);
	VM_BUG_ON_FOLIO(!f->lock.look_locked(), f);
	address_space *mapping = folio_mapping(f);
	if (mapping == nullptr)
		return;
	const pgoff_t first = f->index.load();
	const pgoff_t last = first + folio_nr_pages(f) - 1;

	i_mmap_lock_read(mapping);
	for (vm_area_struct *vma : mapping->i_mmap) {
		const pgoff_t vba = vma->vm_pgoff;
		const pgoff_t vea = vba + (vma->vm_end - vma->vm_start) / page_size() - 1;
		if (last < vba || first > vea)
			continue;
		one(vma);
		if (enough())
			break;
	}
	i_mmap_unlock_read(mapping);
}

/* The folios of files are the only ones that are walked here. */
template <typename One, typename Enough>
void rmap_walk(folio *f, One one, Enough enough)
{
	FRAME(rmap_walk);
	rmap_walk_file(f, one, enough);
}

/* The entry's dirt goes to the folio before the folio stops being mapped there (I17). */
void try_to_unmap_one(folio *f, vm_area_struct *vma, unsigned flags)
{
	FRAME(try_to_unmap_one);
	page_vma_mapped_walk walk(f, vma, (flags & TTU_SYNC) != 0);
	while (walk.next()) {
		if (walk.is_huge()) {
			VM_BUG_ON_FOLIO((flags & TTU_SPLIT_HUGE_PMD) == 0, f);
			const std::uint64_t address = walk.address();
			walk.restart();
			__split_huge_pmd(vma, address);
			continue;
		}
		const pte_t old = walk.pte()->xchg({});
		if (pte_dirty(old))
			folio_mark_dirty(f);
		folio_remove_rmap_ptes(f, 1);
		folio_put(f);
	}
}

/* Write-protects and cleans; the number of entries that were dirty or writable. */
int page_mkclean_one(folio *f, vm_area_struct *vma)
{
	FRAME(page_mkclean_one);
	int cleaned = 0;
	page_vma_mapped_walk walk(f, vma, true);
	while (walk.next()) {
		if (walk.is_huge()) {
			const pmd_t entry = walk.pmd()->read_once();
			if ((entry.bits & (PTE_DIRTY | PTE_WRITE)) == 0)
				continue;
			/* Never empty in between (pmdp_invalidate()): a zap looks without the
			 * lock, and would take it for gone. */
			pmd_t clean = entry;
			clean.bits &= ~std::uint32_t{ PTE_DIRTY | PTE_WRITE };
			walk.pmd()->xchg(clean);
		} else {
			const pte_t entry = walk.pte()->read_once();
			if (!pte_dirty(entry) && !pte_write(entry))
				continue;
			/* Taken out, not overwritten: a CPU may set the dirty bit until then. */
			pte_t clean = walk.pte()->xchg({});
			clean.bits &= ~std::uint32_t{ PTE_DIRTY | PTE_WRITE };
			walk.pte()->write_once(clean);
		}
		++cleaned;
	}
	return cleaned;
}

} // namespace

/*
 * Takes a file folio out of all page tables; who needs it faults again. Whether it succeeded the
 * caller sees in folio_mapped(). Requires: folio lock. May sleep.
 */
void try_to_unmap(folio *f, unsigned flags)
{
	FRAME(try_to_unmap);
	rmap_walk(
		f, [&](vm_area_struct *vma) { try_to_unmap_one(f, vma, flags); },
		[&] { return folio_not_mapped(f); });
}

void try_to_unmap_flush()
{
	FRAME(try_to_unmap_flush);
}

/*
 * Write-protects and cleans every entry that maps the folio shared: the next store faults. The
 * result tells whether the folio may have been written to through a mapping; the caller marks it
 * dirty then. Requires: folio lock. May sleep.
 */
int folio_mkclean(folio *f)
{
	FRAME(folio_mkclean);
	int cleaned = 0;
	VM_BUG_ON_FOLIO(!f->lock.look_locked(), f);
	if (!folio_mapped(f))
		return 0;
	if (folio_mapping(f) == nullptr)
		return 0;
	rmap_walk(
		f,
		[&](vm_area_struct *vma) {
			if ((vma->vm_flags & VM_SHARED) != 0)
				cleaned += page_mkclean_one(f, vma);
		},
		[] { return false; });
	return cleaned;
}

/* nr_file_mapped counts mappings here, not pages. */
static void __folio_mod_stat(const folio *f, long mappings)
{
	FRAME(__folio_mod_stat);
	if (!folio_test_anon(f))
		vm_stat_add(this_machine().stat.nr_file_mapped, mappings);
}

static void add_file_rmap(folio *f, unsigned count)
{
	f->_mapcount.add(static_cast<int>(count));
	__folio_mod_stat(f, count);
}

static void remove_rmap(folio *f, unsigned count)
{
	f->_mapcount.add(-static_cast<int>(count));
	VM_BUG_ON_FOLIO(f->_mapcount.look() < 0, f);
	__folio_mod_stat(f, -static_cast<long>(count));
}

void folio_add_new_anon_rmap(folio *f)
{
	FRAME(folio_add_new_anon_rmap);
	f->_mapcount.add(1);
	__folio_mod_stat(f, 1);
}

void folio_add_file_rmap_ptes(folio *f, unsigned nr_pages)
{
	FRAME(folio_add_file_rmap_ptes);
	add_file_rmap(f, nr_pages);
}

void folio_add_file_rmap_pmd(folio *f)
{
	FRAME(folio_add_file_rmap_pmd);
	add_file_rmap(f, 1);
}

void folio_remove_rmap_ptes(folio *f, unsigned nr_pages)
{
	FRAME(folio_remove_rmap_ptes);
	remove_rmap(f, nr_pages);
}

void folio_remove_rmap_pmd(folio *f)
{
	FRAME(folio_remove_rmap_pmd);
	remove_rmap(f, 1);
}

} // namespace kernel
