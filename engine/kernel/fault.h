// SPDX-License-Identifier: GPL-2.0-only
// Inside page faults: what memory.cc, memory_wp.cc and user_access.cc have of each other.
#pragma once

#include "engine/kernel/page_table.h"

namespace kernel
{

inline bool vma_is_shared(const vm_area_struct *vma)
{
	return (vma->vm_flags & VM_SHARED) != 0;
}

/* What a CPU sets in the entry that it uses. */
inline std::uint32_t accessed_bits(bool write)
{
	return write ? PTE_YOUNG | PTE_DIRTY : std::uint32_t{ PTE_YOUNG };
}

/* memory_wp.cc. Whoever is first makes the VMA one with private pages. mmap_lock shared: there may
 * be two. */
void anon_vma_prepare(vm_area_struct *vma);
/* A page of the process's own, with one reference; null if there is no memory. */
folio *folio_prealloc();
/* Asks the filesystem. VM_FAULT_LOCKED: granted, folio locked. VM_FAULT_NOPAGE: fault again. */
unsigned do_page_mkwrite(vm_fault *vmf);
/*
 * The page is mapped writable and dirty; its folio, locked here, must know. Drops the folio lock
 * and throttles the writer, without mmap_lock if the fault may drop it: VM_FAULT_COMPLETED.
 */
unsigned fault_dirty_shared_page(vm_fault *vmf);
/* A store, and the entry is write-protected. PTL held; dropped here. */
unsigned do_wp_page(vm_fault *vmf, pte_table *table);

} // namespace kernel
