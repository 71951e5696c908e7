// SPDX-License-Identifier: GPL-2.0-only
// Collapse of file ranges into huge pages (mm/khugepaged.c of 6.12: the scheme of 6.4, in which
// the old folios stay in the cache until one store replaces them all).
//
// Left out: anonymous memory, shmem, swap, NUMA placement, userfaultfd, MMU notifiers, sysfs limits
// (defaults apply), freezing and sleeping between scans; khugepaged ends after
// geometry.khugepaged_scans passes.
//
// Locks: folio locks of a mapping in ascending order, xa_lock inside them. collapse_file drops
// mmap_lock first. Filling a hole of the range takes invalidate_lock shared with folio locks held,
// against the documented order; so does the July 2026 fix.
#include "engine/kernel/khugepaged.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/kernel/bug.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/barrier.h"

namespace kernel
{

const char *scan_result_name(scan_result result)
{
	static constexpr std::array<const char *, SCAN_RESULTS> kNames = {
		"fail",
		"succeeded",
		"pmd_null",
		"pmd_none",
		"pmd_mapped",
		"exceed_none_pte",
		"page_count",
		"page_lru",
		"page_locked",
		"page_anon",
		"page_compound",
		"pte_mapped_hugepage",
		"vma_null",
		"vma_check",
		"del_page_lru",
		"alloc_huge_page_failed",
		"cgroup_charge_failed",
		"truncated",
		"page_has_private",
		"page_filled",
		"copy_poisoned_page",
		"store_failed",
		"any_process",
		"address_range",
		"exceed_swap_pte",
		"page_null",
		"pte_non_present",
	};
	return kNames[result];
}

namespace
{

/* Sysfs defaults. */
pgoff_t khugepaged_max_ptes_none()
{
	return hpage_pages() - 1;
}

pgoff_t khugepaged_max_ptes_swap()
{
	return hpage_pages() / 8;
}

bool hpage_collapse_test_exit(mm_struct *mm)
{
	return mm->mm_users.read() == 0;
}

/* One attempt on one range. */
struct collapse {
	address_space *mapping;
	file *f;
	pgoff_t start;
	pgoff_t end;
	xa_state xas;
	std::vector<folio *> folios; /* locked, isolated, unmapped; a lookup reference each */
};

/* A locked folio of PMD order for the range, charged; in no cache yet. May sleep. */
scan_result alloc_charge_folio(folio **new_folio)
{
	FRAME(alloc_charge_folio);

	folio *f = folio_alloc(hpage_order());
	if (f == nullptr)
		return SCAN_ALLOC_HUGE_PAGE_FAIL;
	if (should_fail("alloc_hugepage")) {
		folio_put(f);
		return SCAN_CGROUP_CHARGE_FAIL;
	}
	*new_folio = f;
	return SCAN_SUCCEED;
}

/*
 * Gives every slot of the range a node, so that the commit needs no memory. On success xa_lock is
 * held. May sleep for memory.
 */
scan_result create_range(collapse &c)
{
	for (;;) {
		c.mapping->i_pages.xa_lock.lock();
		xas_create_range(&c.xas);
		if (xas_error(&c.xas) == 0)
			return SCAN_SUCCEED;
		c.mapping->i_pages.xa_lock.unlock();
		if (!xas_nomem(&c.xas))
			return SCAN_FAIL;
	}
}

/*
 * Locks the folio at `index` and takes a reference, reading it in if it is not there. Requires:
 * xa_lock held; it is dropped. May sleep.
 */
scan_result lock_folio_of_range(collapse &c, pgoff_t index, folio **locked)
{
	interleaf::Spinlock &xa_lock = c.mapping->i_pages.xa_lock;
	xas_set(&c.xas, index);
	void *entry = xas_load(&c.xas);

	if (entry == nullptr || xa_is_value(entry)) {
		xa_lock.unlock();
		page_cache_sync_readahead(c.mapping, &c.f->f_ra, c.f, index, c.end - index);
		/* Folios in the batch are not on the LRU: isolation would fail. */
		lru_add_drain();
		*locked = filemap_lock_folio(c.mapping, index);
		return IS_ERR_OR_NULL(*locked) ? SCAN_FAIL : SCAN_SUCCEED;
	}

	auto *f = static_cast<folio *>(entry);
	if (folio_test_dirty(f)) {
		/* The writer has closed the file, but nobody has written it back: ask for it, so
		 * that a later attempt may succeed. */
		xa_lock.unlock();
		filemap_flush(c.mapping);
		return SCAN_FAIL;
	}
	if (folio_test_writeback(f)) {
		xa_lock.unlock();
		return SCAN_FAIL;
	}
	if (!folio_trylock(f)) {
		xa_lock.unlock();
		return SCAN_PAGE_LOCK;
	}
	folio_get(f);
	xa_lock.unlock();
	*locked = f;
	return SCAN_SUCCEED;
}

/*
 * Takes the locked folio from everybody else: off the LRU, no private data, not mapped. On success
 * xa_lock is held; on failure not, and everything but lock and reference is given back. May sleep.
 */
scan_result isolate_folio(collapse &c, pgoff_t index, folio *f)
{
	BUG_ON(!f->lock.held_by_me());

	if (!folio_test_uptodate(f))
		return SCAN_FAIL;
	/* The range was truncated and extended, or punched, and collapsed by somebody else. */
	if (folio_order(f) == hpage_order() && f->index.load() == c.start)
		return SCAN_PTE_MAPPED_HUGEPAGE;
	if (f->mapping.load() != c.mapping)
		return SCAN_TRUNCATED;
	/* Looked at without the lock before, or read in just now. */
	if (folio_test_dirty(f) || folio_test_writeback(f))
		return SCAN_FAIL;
	if (!folio_isolate_lru(f))
		return SCAN_DEL_PAGE_LRU;
	if (!filemap_release_folio(f, 0)) {
		folio_putback_lru(f);
		return SCAN_PAGE_HAS_PRIVATE;
	}
	if (folio_mapped(f))
		try_to_unmap(f, TTU_IGNORE_MLOCK | TTU_BATCH_FLUSH);

	c.mapping->i_pages.xa_lock.lock();
	VM_BUG_ON_FOLIO(xa_peek(&c.mapping->i_pages, index).entry != f, f);
	/* Ours, the isolation's, and the cache's. Who finds it under RCU from now on may take a
	 * reference and read it, but cannot change it without its lock. */
	if (folio_ref_count(f) != 2 + static_cast<int>(folio_nr_pages(f))) {
		c.mapping->i_pages.xa_lock.unlock();
		folio_putback_lru(f);
		return SCAN_PAGE_COUNT;
	}
	return SCAN_SUCCEED;
}

/* Steps 4 to 10 of the fact sheet. Requires: xa_lock held; held on success, else dropped. */
scan_result isolate_range(collapse &c)
{
	for (pgoff_t index = c.start; index < c.end;) {
		folio *f = nullptr;
		scan_result result = lock_folio_of_range(c, index, &f);
		if (result != SCAN_SUCCEED)
			return result;
		result = isolate_folio(c, index, f);
		if (result != SCAN_SUCCEED) {
			folio_unlock(f);
			folio_put(f);
			return result;
		}
		c.folios.push_back(f);
		index += folio_nr_pages(f);
	}
	return SCAN_SUCCEED;
}

/*
 * Announces a huge page to those who open the file for write, and looks whether one of them is
 * there already. The fence pairs with the atomic in get_write_access(); see do_dentry_open().
 */
bool count_thp_unless_written(address_space *mapping)
{
	filemap_nr_thps_inc(mapping);
	interleaf::smp_mb();
	return !inode_is_open_for_write(mapping->host);
}

/* The fix of July 2026 replaces the check under xa_lock by flush_mapping() below. */
bool flushes_mapping(const address_space *mapping)
{
	return patched(Patch::kKhugepagedWriteAllDirtyV1) ||
	       (patched(Patch::kKhugepagedWriteAllDirty) && !mapping_large_folio_support(mapping));
}

bool checks_writers_under_xa_lock()
{
	return !patched(Patch::kKhugepagedWriteAllDirtyV1) &&
	       !patched(Patch::kKhugepagedWriteAllDirty);
}

/*
 * The next write-open purges the file, so nothing in it may be dirty: not in the range, whose
 * folios are locked and clean, and not beside it. invalidate_lock keeps that purge out until the
 * writeback is complete. May sleep.
 */
scan_result flush_mapping(address_space *mapping)
{
	scan_result result = SCAN_SUCCEED;

	filemap_invalidate_lock_shared(mapping);
	if (!count_thp_unless_written(mapping) || filemap_write_and_wait(mapping) != 0) {
		filemap_nr_thps_dec(mapping);
		result = SCAN_FAIL;
	}
	filemap_invalidate_unlock_shared(mapping);
	return result;
}

/* Copies the locked folios; SCAN_COPY_MC if memory of one of them is broken. */
scan_result copy_range(const collapse &c, folio *new_folio)
{
	unsigned page = 0;
	for (const folio *f : c.folios) {
		for (unsigned i = 0; i < folio_nr_pages(f); ++i) {
			if (should_fail("copy_mc"))
				return SCAN_COPY_MC;
			folio_copy_page(new_folio, page++, f, i);
		}
	}
	return SCAN_SUCCEED;
}

/* The one moment at which the cache changes. Takes xa_lock. */
void commit(collapse &c, folio *new_folio)
{
	machine &m = this_machine();

	c.mapping->i_pages.xa_lock.lock();
	vm_stat_add(m.stat.nr_file_thps, static_cast<long>(hpage_pages()));
	/* Before anybody can find it: who does must not take it for allocated but unread. */
	folio_set_uptodate(new_folio);
	folio_ref_add(new_folio, static_cast<int>(hpage_pages()) - 1);
	folio_add_lru(new_folio);
	xas_set_order(&c.xas, c.start, hpage_order());
	xas_store(&c.xas, new_folio);
	for (folio *old : c.folios)
		m.watcher->folio_removed(*c.mapping->host, *old, new_folio);
	VM_WARN_ON_ONCE(xas_error(&c.xas) != 0);
	c.mapping->i_pages.xa_lock.unlock();
}

/* The cache's references of the old folios went with their slots. */
void free_old_folios(const collapse &c)
{
	for (folio *f : c.folios) {
		f->mapping.store(nullptr);
		folio_clear_active(f);
		folio_unlock(f);
		folio_put_refs(f, 2 + static_cast<int>(folio_nr_pages(f)));
	}
}

/* Nothing in the cache was changed. */
void roll_back(const collapse &c, folio *new_folio, scan_result result)
{
	for (folio *f : c.folios) {
		folio_unlock(f);
		folio_putback_lru(f);
		folio_put(f);
	}
	/* All other failures come before the count was raised, or lowered it again themselves. */
	if (result == SCAN_COPY_MC) {
		filemap_nr_thps_dec(c.mapping);
		/* Pairs with the atomic in get_write_access(). */
		interleaf::smp_mb();
	}
	new_folio->mapping.poke(nullptr);
	folio_unlock(new_folio);
	folio_put(new_folio);
}

} // namespace

/*
 * Replaces the folios of one aligned range by a huge one. Requires: a reference to the file, no
 * locks. May sleep. SCAN_SUCCEED for khugepaged, SCAN_PTE_MAPPED_HUGEPAGE for madvise(2) (page
 * tables are still to be fixed), else why not; the cache is then as before.
 */
scan_result collapse_file([[maybe_unused]] mm_struct *mm, [[maybe_unused]] std::uint64_t address,
			  file *f, pgoff_t start, collapse_control *cc)
{
	FRAME(collapse_file);
	address_space *mapping = f->f_mapping;
	folio *new_folio = nullptr;

	BUG_ON(start % hpage_pages() != 0);
	scan_result result = alloc_charge_folio(&new_folio);
	if (result != SCAN_SUCCEED)
		return result;

	collapse c{ .mapping = mapping,
		    .f = f,
		    .start = start,
		    .end = start + hpage_pages(),
		    .xas = xa_state(&mapping->i_pages, start, hpage_order()) };
	c.folios.reserve(hpage_pages());
	/* Nobody else can find it before the commit. */
	new_folio->lock.try_lock();
	new_folio->index.poke(start);
	new_folio->mapping.poke(mapping);

	result = create_range(c);
	if (result != SCAN_SUCCEED) {
		roll_back(c, new_folio, result);
		return result;
	}
	result = isolate_range(c);
	if (result == SCAN_SUCCEED) {
		if (checks_writers_under_xa_lock() && !count_thp_unless_written(mapping)) {
			result = SCAN_FAIL;
			filemap_nr_thps_dec(mapping);
		}
		mapping->i_pages.xa_lock.unlock();
	}
	/* No CPU may write through an old translation once the copy has begun. */
	try_to_unmap_flush();

	if (result == SCAN_SUCCEED && flushes_mapping(mapping))
		result = flush_mapping(mapping);
	if (result == SCAN_SUCCEED)
		result = copy_range(c, new_folio);
	if (result != SCAN_SUCCEED) {
		roll_back(c, new_folio, result);
		return result;
	}

	commit(c, new_folio);
	retract_page_tables(mapping, start);
	if (!cc->is_khugepaged)
		result = SCAN_PTE_MAPPED_HUGEPAGE;
	folio_unlock(new_folio);
	free_old_folios(c);
	return result;
}

namespace
{

/*
 * The scan holds no references. struct page outlives its folio, so Linux may look at a folio that
 * was freed under it and finds it neither on the LRU nor with a count that fits. Here only the
 * count of a freed folio may be read: true if nothing else of it may.
 */
bool freed_meanwhile(const folio *f)
{
	return f->_refcount.look() == 0;
}

/* Do cache, page tables and private data account for all references? */
bool is_refcount_suitable(const folio *f)
{
	int expected = folio_mapcount(f) + static_cast<int>(folio_nr_pages(f));
	if (freed_meanwhile(f))
		return false;
	if (folio_test_private(f))
		++expected;
	return folio_ref_count(f) == expected;
}

/* Could this folio take part? SCAN_SUCCEED if so. */
scan_result scan_folio(const folio *f, pgoff_t start)
{
	if (freed_meanwhile(f))
		return SCAN_PAGE_LRU;
	if (folio_order(f) == hpage_order()) {
		const bool whole_range = f->index.load() == start;
		if (freed_meanwhile(f))
			return SCAN_PAGE_LRU;
		if (whole_range)
			return SCAN_PTE_MAPPED_HUGEPAGE;
	}
	const bool on_lru = folio_test_lru(f);
	if (freed_meanwhile(f) || !on_lru)
		return SCAN_PAGE_LRU;
	return is_refcount_suitable(f) ? SCAN_SUCCEED : SCAN_PAGE_COUNT;
}

} // namespace

/*
 * Looks whether the range is worth an attempt, and makes it. Never looks at dirt. Requires: a
 * reference to the file, no locks. May sleep.
 */
scan_result hpage_collapse_scan_file(mm_struct *mm, std::uint64_t address, file *f, pgoff_t start,
				     collapse_control *cc)
{
	FRAME(hpage_collapse_scan_file);
	scan_result result = SCAN_SUCCEED;
	const pgoff_t last = start + hpage_pages() - 1;
	pgoff_t shadows = 0;

	cc->present = 0;
	rcu_read_lock();
	xa_state xas(&f->f_mapping->i_pages, start);
	for (void *entry = xas_find(&xas, last); entry != nullptr;
	     entry = xas_next_entry(&xas, last)) {
		if (xas_retry(&xas, entry))
			continue;
		if (xa_is_value(entry)) {
			shadows += pgoff_t{ 1 } << xas_get_order(&xas);
			if (cc->is_khugepaged && shadows > khugepaged_max_ptes_swap()) {
				result = SCAN_EXCEED_SWAP_PTE;
				break;
			}
			continue;
		}
		const auto *found = static_cast<const folio *>(entry);
		result = scan_folio(found, start);
		if (result != SCAN_SUCCEED)
			break;
		cc->present += folio_nr_pages(found);
	}
	rcu_read_unlock();

	if (result != SCAN_SUCCEED)
		return result;
	if (cc->is_khugepaged && cc->present < hpage_pages() - khugepaged_max_ptes_none())
		return SCAN_EXCEED_NONE_PTE;
	return collapse_file(mm, address, f, start, cc);
}

namespace
{

/* What the PMD entry is now; SCAN_SUCCEED: a page table. */
scan_result find_pmd_or_thp_or_none(mm_struct *mm, std::uint64_t address)
{
	const pmd_t pmd = READ_ONCE(*pmd_offset(mm, address));
	if (pmd_none(pmd))
		return SCAN_PMD_NONE;
	return pmd_trans_huge(pmd) ? SCAN_PMD_MAPPED : SCAN_SUCCEED;
}

/* Empties the entry. Requires: pmd_lock and the lock of the table. */
pte_table *pmdp_collapse_flush(mm_struct *mm, std::uint64_t address)
{
	return pmd_offset(mm, address)->xchg({}).table;
}

/* The VMA's page table for the range is empty and stays so while the new folio is locked, unless
 * the VMA has private copies: take it away. */
void retract_page_table(vm_area_struct *vma, std::uint64_t address)
{
	mm_struct *mm = vma->vm_mm;
	pte_table *detached = nullptr;

	mm->pmd_lock.lock();
	pte_table *table = pmd_offset(mm, address)->load().table;
	table->ptl.lock();
	/* Without mmap_lock a first private copy may have come since. */
	if (vma->anon_vma_.load() == nullptr)
		detached = pmdp_collapse_flush(mm, address);
	table->ptl.unlock();
	mm->pmd_lock.unlock();
	if (detached != nullptr)
		pte_free_defer(detached);
}

} // namespace

/*
 * Removes the page tables under the range from all address spaces, so that the next fault maps the
 * huge page. Requires: the new folio locked. Takes i_mmap_rwsem shared, pmd_lock, page table locks.
 */
void retract_page_tables(address_space *mapping, pgoff_t pgoff)
{
	FRAME(retract_page_tables);

	i_mmap_lock_read(mapping);
	for (vm_area_struct *vma : mapping->i_mmap) {
		const pgoff_t pages = (vma->vm_end - vma->vm_start) / page_size();
		if (pgoff < vma->vm_pgoff || pgoff >= vma->vm_pgoff + pages)
			continue;
		/* Private copies: the range would soon be split again. */
		if (READ_ONCE(vma->anon_vma_) != nullptr)
			continue;
		const std::uint64_t address = vma->vm_start + (pgoff - vma->vm_pgoff) * page_size();
		if (address % pmd_size() != 0 || vma->vm_end < address + pmd_size())
			continue;
		if (find_pmd_or_thp_or_none(vma->vm_mm, address) != SCAN_SUCCEED)
			continue;
		if (hpage_collapse_test_exit(vma->vm_mm))
			continue;
		retract_page_table(vma, address);
	}
	i_mmap_unlock_read(mapping);
}

namespace
{

/* A present PTE must be the i-th page of the huge folio; private copies are not. */
scan_result check_pte(pte_t pte, const folio *f, unsigned i)
{
	if (!pte_present(pte))
		return SCAN_PTE_NON_PRESENT;
	return pte.f == f && pte.page == i ? SCAN_SUCCEED : SCAN_FAIL;
}

scan_result check_ptes(mm_struct *mm, std::uint64_t haddr, const folio *f)
{
	pte_table *table = pte_offset_map_lock(mm, haddr);
	if (table == nullptr)
		return SCAN_FAIL;
	scan_result result = SCAN_SUCCEED;
	for (unsigned i = 0; i < hpage_pages() && result == SCAN_SUCCEED; ++i) {
		const pte_t pte = table->ptes[i].load();
		if (!pte_none(pte))
			result = check_pte(pte, f, i);
	}
	pte_unmap_unlock(table);
	return result;
}

/*
 * Unmaps the pages of the huge folio one by one and removes the table. Its dirty bits are not
 * looked at: nobody can write to such a file. Requires: the folio's lock, which keeps new entries
 * of the folio away, but not private copies made of old ones.
 */
scan_result remove_pte_table(mm_struct *mm, std::uint64_t haddr, folio *f)
{
	scan_result result = SCAN_SUCCEED;
	int removed = 0;

	pte_table *table = pte_offset_map(mm, haddr);
	if (table == nullptr)
		return SCAN_FAIL;
	table->ptl.lock();
	for (unsigned i = 0; i < hpage_pages(); ++i) {
		const pte_t pte = table->ptes[i].load();
		if (pte_none(pte))
			continue;
		result = check_pte(pte, f, i);
		if (result != SCAN_SUCCEED)
			break;
		table->ptes[i].store({});
		folio_remove_rmap(f, 1);
		++removed;
	}
	if (result != SCAN_SUCCEED && removed != 0)
		folio_put_refs(f, removed);
	table->ptl.unlock();
	pte_unmap(table);
	if (result != SCAN_SUCCEED)
		return result;
	if (removed != 0)
		folio_put_refs(f, removed);

	/* The other way round from above, hence the gap. */
	mm->pmd_lock.lock();
	table->ptl.lock();
	pte_table *detached = pmdp_collapse_flush(mm, haddr);
	table->ptl.unlock();
	mm->pmd_lock.unlock();
	pte_free_defer(detached);
	return SCAN_SUCCEED;
}

/* Maps the folio by the empty PMD entry; the entry's reference is its own. */
scan_result set_huge_pmd(vm_area_struct *vma, std::uint64_t haddr, folio *f)
{
	vm_fault vmf{ .vma = vma, .address = haddr, .pgoff = linear_page_index(vma, haddr) };
	if (do_set_pmd(&vmf, f) != 0)
		return SCAN_FAIL;
	folio_get(f);
	return SCAN_SUCCEED;
}

/* The folio is locked. */
scan_result replace_ptes(vm_area_struct *vma, std::uint64_t haddr, folio *f, bool install_pmd)
{
	if (folio_order(f) != hpage_order())
		return SCAN_PAGE_COMPOUND;

	mm_struct *mm = vma->vm_mm;
	scan_result result = find_pmd_or_thp_or_none(mm, haddr);
	if (result == SCAN_SUCCEED) {
		result = check_ptes(mm, haddr, f);
		if (result != SCAN_SUCCEED)
			return result;
		result = remove_pte_table(mm, haddr, f);
		if (result != SCAN_SUCCEED)
			return result;
	} else if (result != SCAN_PMD_NONE) {
		return result;
	}
	return install_pmd ? set_huge_pmd(vma, haddr, f) : SCAN_SUCCEED;
}

} // namespace

/*
 * A huge folio is in the cache, mapped by PTEs or not at all: map it by a PMD entry, or (for
 * khugepaged) at least make way for one. Requires: mmap_lock. May sleep.
 */
scan_result collapse_pte_mapped_thp(mm_struct *mm, std::uint64_t address, bool install_pmd)
{
	FRAME(collapse_pte_mapped_thp);
	const std::uint64_t haddr = address / pmd_size() * pmd_size();
	vm_area_struct *vma = vma_lookup(mm, haddr);

	BUG_ON(!mm->mmap_lock.look_locked());
	if (vma == nullptr || vma->vm_file == nullptr || haddr + pmd_size() > vma->vm_end)
		return SCAN_VMA_CHECK;
	/* Before the folio lock, which it may spare. */
	if (find_pmd_or_thp_or_none(mm, haddr) == SCAN_PMD_MAPPED)
		return SCAN_PMD_MAPPED;
	if (!thp_vma_allowable(vma, false))
		return SCAN_VMA_CHECK;

	folio *f = filemap_lock_folio(vma->vm_file->f_mapping, linear_page_index(vma, haddr));
	if (IS_ERR_OR_NULL(f))
		return SCAN_PAGE_NULL;
	const scan_result result = replace_ptes(vma, haddr, f, install_pmd);
	folio_unlock(f);
	folio_put(f);
	return result;
}

namespace
{

/* mmap_lock was dropped: is the VMA still there and eligible? */
scan_result hugepage_vma_revalidate(mm_struct *mm, std::uint64_t address, vm_area_struct **vma,
				    const collapse_control *cc)
{
	if (hpage_collapse_test_exit(mm))
		return SCAN_ANY_PROCESS;
	*vma = vma_lookup(mm, address);
	if (*vma == nullptr)
		return SCAN_VMA_NULL;
	if (!thp_vma_suitable_order(*vma, address))
		return SCAN_ADDRESS_RANGE;
	if (!thp_vma_allowable(*vma, cc->is_khugepaged))
		return SCAN_VMA_CHECK;
	return SCAN_SUCCEED;
}

/* What the user is told; -EAGAIN means that trying again might help. */
int madvise_collapse_errno(scan_result result)
{
	switch (result) {
	case SCAN_ALLOC_HUGE_PAGE_FAIL:
		return -ENOMEM;
	case SCAN_CGROUP_CHARGE_FAIL:
	case SCAN_EXCEED_NONE_PTE:
		return -EBUSY;
	case SCAN_PAGE_COUNT:
	case SCAN_PAGE_LOCK:
	case SCAN_PAGE_LRU:
	case SCAN_DEL_PAGE_LRU:
	case SCAN_PAGE_FILLED:
		return -EAGAIN;
	default:
		return -EINVAL;
	}
}

/* Failures of one range that say nothing about the next one. */
bool may_continue_after(scan_result result)
{
	switch (result) {
	case SCAN_PMD_NULL:
	case SCAN_PTE_NON_PRESENT:
	case SCAN_PAGE_NULL:
	case SCAN_PAGE_COUNT:
	case SCAN_PAGE_LOCK:
	case SCAN_PAGE_COMPOUND:
	case SCAN_PAGE_LRU:
	case SCAN_DEL_PAGE_LRU:
		return true;
	default:
		return false;
	}
}

/* One range; mmap_lock is held and dropped. */
scan_result madvise_collapse_one(vm_area_struct *vma, std::uint64_t address, collapse_control *cc)
{
	mm_struct *mm = vma->vm_mm;
	file *f = vma->vm_file;
	get_file(f);
	const pgoff_t pgoff = linear_page_index(vma, address);

	mm->mmap_lock.up_read();
	scan_result result = hpage_collapse_scan_file(mm, address, f, pgoff, cc);
	fput(f);
	if (result == SCAN_PTE_MAPPED_HUGEPAGE) {
		mm->mmap_lock.down_read();
		result = collapse_pte_mapped_thp(mm, address, true);
		mm->mmap_lock.up_read();
	}
	return result;
}

} // namespace

int madvise_collapse(vm_area_struct *vma, std::uint64_t start, std::uint64_t end, bool *dropped)
{
	FRAME(madvise_collapse);
	mm_struct *mm = vma->vm_mm;
	collapse_control cc{ .is_khugepaged = false };
	scan_result last_fail = SCAN_FAIL;
	bool mmap_locked = true;
	std::uint64_t thps = 0;

	BUG_ON(vma->vm_start > start || vma->vm_end < end);
	*dropped = false;
	if (!thp_vma_allowable(vma, false))
		return -EINVAL;
	/* Folios in a CPU's batch are not on the LRU. */
	lru_add_drain_all();

	const std::uint64_t hstart = (start + pmd_size() - 1) / pmd_size() * pmd_size();
	std::uint64_t hend = end / pmd_size() * pmd_size();
	for (std::uint64_t address = hstart; address < hend; address += pmd_size()) {
		if (!mmap_locked) {
			mm->mmap_lock.down_read();
			mmap_locked = true;
			const scan_result valid = hugepage_vma_revalidate(mm, address, &vma, &cc);
			if (valid != SCAN_SUCCEED) {
				last_fail = valid;
				break;
			}
			hend = std::min(hend, vma->vm_end / pmd_size() * pmd_size());
		}
		const scan_result result = madvise_collapse_one(vma, address, &cc);
		mmap_locked = false;
		*dropped = true;
		if (result == SCAN_SUCCEED || result == SCAN_PMD_MAPPED) {
			++thps;
			continue;
		}
		last_fail = result;
		if (!may_continue_after(result))
			break;
	}
	if (!mmap_locked)
		mm->mmap_lock.down_read();
	return thps * pmd_size() == hend - hstart ? 0 : madvise_collapse_errno(last_fail);
}

/* Registers an mm. The daemon begins its passes with the first one. */
void khugepaged_enter_mm(mm_struct *mm)
{
	FRAME(__khugepaged_enter);
	machine &m = this_machine();

	m.khugepaged_mm_lock.lock();
	const bool wakeup = m.khugepaged_mms.empty();
	const bool known = std::ranges::find(m.khugepaged_mms, mm) != m.khugepaged_mms.end();
	if (!known)
		m.khugepaged_mms.push_back(mm);
	m.khugepaged_mm_lock.unlock();
	if (wakeup)
		m.khugepaged_wait.wake_up();
}

/* Requires: mm_users is zero, mmap_lock not held. May sleep. */
void khugepaged_exit_mm(mm_struct *mm)
{
	FRAME(__khugepaged_exit);
	machine &m = this_machine();

	m.khugepaged_mm_lock.lock();
	const bool being_scanned = m.khugepaged_scanning == mm;
	std::erase(m.khugepaged_mms, mm);
	m.khugepaged_mm_lock.unlock();
	/* It works on page tables under mmap_lock and looks at mm_users when it has the lock. */
	if (being_scanned) {
		mm->mmap_lock.down_write();
		mm->mmap_lock.up_write();
	}
}

namespace
{

/*
 * Finds the next eligible range at or after *address and tries it. True if there was one: mmap_lock
 * was dropped meanwhile, the caller looks again from *address on. Nothing waits for mmap_lock
 * here: whoever holds it is left alone for this pass.
 */
bool khugepaged_scan_next(mm_struct *mm, std::uint64_t *address, collapse_control *cc)
{
	if (!mm->mmap_lock.down_read_trylock())
		return false;
	for (vm_area_struct *vma : mm->vmas) {
		if (hpage_collapse_test_exit(mm))
			break;
		if (vma->vm_end <= *address || !thp_vma_allowable(vma, true))
			continue;
		const std::uint64_t hstart =
			(vma->vm_start + pmd_size() - 1) / pmd_size() * pmd_size();
		const std::uint64_t hend = vma->vm_end / pmd_size() * pmd_size();
		*address = std::max(*address, hstart);
		if (*address >= hend)
			continue;

		file *f = vma->vm_file;
		get_file(f);
		const pgoff_t pgoff = linear_page_index(vma, *address);
		mm->mmap_lock.up_read();
		const scan_result result = hpage_collapse_scan_file(mm, *address, f, pgoff, cc);
		fput(f);
		if (result == SCAN_PTE_MAPPED_HUGEPAGE) {
			mm->mmap_lock.down_read();
			if (!hpage_collapse_test_exit(mm))
				collapse_pte_mapped_thp(mm, *address, false);
			mm->mmap_lock.up_read();
		}
		*address += pmd_size();
		return true;
	}
	mm->mmap_lock.up_read();
	return false;
}

/* The next mm of this pass after `index` others, or null. */
mm_struct *khugepaged_next_mm(std::size_t index)
{
	machine &m = this_machine();
	m.khugepaged_mm_lock.lock();
	m.khugepaged_scanning = index < m.khugepaged_mms.size() ? m.khugepaged_mms[index] : nullptr;
	mm_struct *mm = m.khugepaged_scanning;
	m.khugepaged_mm_lock.unlock();
	return mm;
}

bool khugepaged_has_work()
{
	machine &m = this_machine();
	m.khugepaged_mm_lock.lock();
	const bool has_work = !m.khugepaged_mms.empty();
	m.khugepaged_mm_lock.unlock();
	return has_work;
}

void khugepaged_scan_mm_slot(mm_struct *mm, collapse_control *cc)
{
	FRAME(khugepaged_scan_mm_slot);
	std::uint64_t address = 0;

	while (khugepaged_scan_next(mm, &address, cc)) {
	}
}

} // namespace

void khugepaged()
{
	FRAME(khugepaged);
	collapse_control cc{ .is_khugepaged = true };

	for (unsigned pass = 0; pass < this_machine().geo.khugepaged_scans; ++pass) {
		this_machine().khugepaged_wait.wait_event(khugepaged_has_work);
		lru_add_drain_all();
		std::size_t index = 0;
		while (mm_struct *mm = khugepaged_next_mm(index++))
			khugepaged_scan_mm_slot(mm, &cc);
	}
}

} // namespace kernel
