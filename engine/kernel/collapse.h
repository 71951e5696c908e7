// SPDX-License-Identifier: GPL-2.0-only
// What the two ways of replacing a range of a file by a huge page share: collapse.cc, where the old
// folios stay in the cache until one store replaces them all (6.4), and collapse_old.cc, where the
// huge page takes their slots one after the other (5.4 to 6.3).
#pragma once

#include <vector>

#include "engine/kernel/khugepaged.h"
#include "engine/kernel/xarray.h"

namespace kernel
{

/* One attempt on one range. */
struct collapse {
	address_space *mapping;
	file *f;
	pgoff_t start;
	pgoff_t end;
	xa_state xas; /* of single slots */
	std::vector<folio *> folios; /* locked, isolated, unmapped; a lookup reference each */
};

/*
 * Takes the folio at `index`, which is read in if it is not there, from everybody else: locked, off
 * the LRU, no private data, not mapped, and in the old scheme with frozen references. On success it
 * is the last one of c.folios. Requires: xa_lock held; held on success, else dropped, and everything
 * is given back. May sleep.
 */
scan_result take_folio_of_range(collapse &c, pgoff_t index);
/*
 * Announces a huge page to those who open the file for write, and looks whether one of them is
 * there already: false, and the count is still raised.
 */
bool count_thp_unless_written(address_space *mapping);

/*
 * The old scheme from the walk on, to the end. Requires: xa_lock held, the slots of the range have
 * nodes, new_folio is locked and has its index and mapping. Drops xa_lock; may sleep. Results as
 * collapse_file() in khugepaged.h.
 */
scan_result replace_while_walking(collapse &c, folio *new_folio, const collapse_control *cc);

} // namespace kernel
