// SPDX-License-Identifier: GPL-2.0-only
// A page of a shared mapping becomes writable (iomap_page_mkwrite of fs/iomap/buffered-io.c, 6.12).
//
// Nothing has to be cleaned up if a fault fails, and no iomap looked at twice: the folio is locked
// and uptodate all the time, so nobody reads or zeroes it by what the iomap says.
//
// Lock order: invalidate_lock (the filesystem's, shared) -> folio lock -> the filesystem's.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

unsigned iomap_page_mkwrite(folio *f, const address_space *mapping, const iomap_ops *ops)
{
	FRAME(iomap_page_mkwrite);
	std::size_t used;
	if (!lock_for_mkwrite(f, mapping, &used))
		return VM_FAULT_NOPAGE;
	iomap_iter iter{ .node = mapping->host,
			 .ops = ops,
			 .pos = folio_pos(f),
			 .len = used,
			 .flags = IOMAP_WRITE | IOMAP_FAULT };
	int ret;
	while ((ret = iomap_iter_next(&iter)) > 0) {
		VM_WARN_ON_ONCE(!f->flags.look(PG_uptodate));
		/* All of the folio, whatever the iomap has of it. */
		folio_mark_dirty(f);
		iter.processed = static_cast<long>(iomap_length(&iter));
	}
	if (ret < 0) {
		folio_unlock(f);
		return VM_FAULT_SIGBUS;
	}
	folio_wait_stable(f);
	return VM_FAULT_LOCKED;
}

} // namespace kernel
