// SPDX-License-Identifier: GPL-2.0-only
// References to the pages behind a process's addresses, for whoever stores to them or reads them
// without its page tables: direct I/O (mm/gup.c of 6.12).
//
// Two kinds. GET counts one per page, as everybody does. PIN counts GUP_PIN_COUNTING_BIAS, so that
// others can tell it; a large folio has a counter of pins besides, and one reference for each.
// Nothing ties a reference to the entry it was taken through: that may be write-protected or gone
// the moment after.
#pragma once

#include <cstdint>

#include "engine/kernel/mm.h"

namespace kernel
{

inline constexpr int GUP_PIN_COUNTING_BIAS = 1024;

enum foll_flags : unsigned {
	FOLL_WRITE = 1, /* who holds the reference will store to the page */
	FOLL_TRIED = 2, /* of these functions: mmap_lock was dropped once and will not be again */
	FOLL_TOUCH = 4, /* of these functions: count it as an access */
};

/* A page of a folio; struct page. */
struct gup_page {
	folio *f;
	unsigned page;
};

/*
 * References to nr pages from the page of `start` on, which are faulted in: for FOLL_WRITE until their
 * entries are writable. How many there are, if not all, or -EFAULT or -ENOMEM if none is. Requires:
 * mmap_lock not held. Sleeps. Back with put_user_pages(), or unpin_user_pages().
 */
long get_user_pages_fast(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags,
			 gup_page *pages);
long pin_user_pages_fast(mm_struct *mm, std::uint64_t start, unsigned nr, unsigned flags,
			 gup_page *pages);

/* May not sleep. */
void put_user_pages(const gup_page *pages, unsigned nr);
void unpin_user_page(gup_page page);
void unpin_user_pages(const gup_page *pages, unsigned nr);
/* The holder has stored to them: those that are not dirty become so first, each under its folio's lock.
 * Sleeps. */
void unpin_user_pages_dirty_lock(const gup_page *pages, unsigned nr, bool make_dirty);

/* Another PIN of a page that has one. */
void folio_add_pin(folio *f);

/* Does anybody hold a PIN? True, too, if somebody holds a great many references to a folio of order 0;
 * false is always right, of a folio that no entry maps. */
bool folio_maybe_dma_pinned(const folio *f,
			    std::source_location where = std::source_location::current());

} // namespace kernel
