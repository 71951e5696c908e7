// SPDX-License-Identifier: GPL-2.0-only
// Inside the page cache, for the files that are mm/filemap.c of Linux and those that look for batches
// of entries themselves.
#pragma once

#include "engine/kernel/pagemap.h"

namespace kernel
{

inline bool folio_test_pmd_mappable(const folio *f)
{
	return folio_order(f) >= hpage_order();
}

/* folio_contains() for assertions. */
inline bool peek_contains(const folio *f, pgoff_t index)
{
	return index - f->index.look() < folio_nr_pages(f);
}

/* filemap_find.cc: the lookup of all batches. The next entry from the walker on, at most `max`: a
 * referenced folio, a value, or null at the end. RCU read section. */
inline constexpr xa_mark_t XA_PRESENT = XA_MARKS_MAX; /* any entry, marked or not */
void *find_get_entry(xa_state *xas, pgoff_t max, xa_mark_t mark);

} // namespace kernel
