// SPDX-License-Identifier: GPL-2.0-only
// Collapsing ranges of a file into PMD-order folios (mm/khugepaged.c, mm/huge_memory.c).
#pragma once

#include "engine/kernel/mm.h"

namespace kernel
{

enum scan_result : unsigned {
	SCAN_FAIL,
	SCAN_SUCCEED,
	SCAN_PMD_NULL,
	SCAN_PMD_NONE,
	SCAN_PMD_MAPPED,
	SCAN_EXCEED_NONE_PTE,
	SCAN_PAGE_COUNT,
	SCAN_PAGE_LRU,
	SCAN_PAGE_LOCK,
	SCAN_PAGE_ANON,
	SCAN_PAGE_COMPOUND,
	SCAN_PTE_MAPPED_HUGEPAGE,
	SCAN_VMA_NULL,
	SCAN_VMA_CHECK,
	SCAN_DEL_PAGE_LRU,
	SCAN_ALLOC_HUGE_PAGE_FAIL,
	SCAN_CGROUP_CHARGE_FAIL,
	SCAN_TRUNCATED,
	SCAN_PAGE_HAS_PRIVATE,
	SCAN_PAGE_FILLED,
	SCAN_COPY_MC,
	SCAN_STORE_FAILED,
	SCAN_ANY_PROCESS, /* the mm is going away */
	SCAN_ADDRESS_RANGE,
	SCAN_EXCEED_SWAP_PTE, /* too many shadow entries */
	SCAN_PAGE_NULL,
	SCAN_PTE_NON_PRESENT,
	SCAN_PAGE_DIRTY_OR_WRITEBACK,
	SCAN_RESULTS,
};
const char *scan_result_name(scan_result result);

struct collapse_control {
	bool is_khugepaged;
	unsigned present = 0;
};

/* Is the last user of the mm gone? */
bool hpage_collapse_test_exit(mm_struct *mm);
bool file_thp_enabled(vm_area_struct *vma);
bool thp_vma_allowable(vm_area_struct *vma, bool is_khugepaged);

scan_result hpage_collapse_scan_file(mm_struct *mm, std::uint64_t address, file *f, pgoff_t start,
				     collapse_control *cc);
scan_result collapse_file(mm_struct *mm, std::uint64_t address, file *f, pgoff_t start,
			  collapse_control *cc);
void retract_page_tables(address_space *mapping, pgoff_t pgoff);
scan_result collapse_pte_mapped_thp(mm_struct *mm, std::uint64_t address, bool install_pmd);

/* MADV_COLLAPSE on [start, end) of a VMA. mmap_lock is held shared on entry and on return;
 * *dropped tells that it was dropped in between. 0 or a negative errno. */
int madvise_collapse(vm_area_struct *vma, std::uint64_t start, std::uint64_t end, bool *dropped);

void khugepaged_enter_mm(mm_struct *mm);
/* Before the mm's memory is torn down: waits for khugepaged to let go of it. */
void khugepaged_exit_mm(mm_struct *mm);
/* Body of the khugepaged daemon: geometry.khugepaged_scans passes over the registered mms. */
void khugepaged();

} // namespace kernel
