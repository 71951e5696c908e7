// SPDX-License-Identifier: GPL-2.0-only
// Between the truncate of 6.12 and that of 5.14 and 5.15 (truncate_pages.cc); see Patch::kFolioTruncate.
#pragma once

#include "engine/kernel/pagemap.h"

namespace kernel
{

/* truncate_pages.cc: find_lock_entries() of old. Locked heads and values of [start, end], where a
 * huge page sticks out at neither end. Never sleeps. */
unsigned find_lock_pages(address_space *mapping, pgoff_t start, pgoff_t end, folio_batch *fbatch,
			 pgoff_t *indices);
/* truncate_inode_pages_range() of old: bytes, `lend` inclusive, -1 is to infinity. May sleep. */
void truncate_pages_range(address_space *mapping, loff_t lstart, loff_t lend);

/* truncate.cc. Removes the value entries of a batch from mapping and batch. May not sleep. */
void truncate_folio_batch_exceptionals(address_space *mapping, folio_batch *fbatch,
				       const pgoff_t *indices);
/* What truncate_cleanup_folio() does. Folio lock held, not under writeback; may sleep. */
void forget_folio(folio *f);

} // namespace kernel
