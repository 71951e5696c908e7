// SPDX-License-Identifier: GPL-2.0-only
// Writing 1 to /proc/sys/vm/drop_caches (fs/drop_caches.c, 6.12).
//
// Left out: slabs (2). The list of inodes only grows here, so that none is pinned while it is walked.
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"
#include "scheduler/scheduler.h"

namespace kernel
{

static void drop_pagecache_sb(super_block *sb)
{
	FRAME(drop_pagecache_sb);
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(interleaf::Op::kRead, sb->inodes_number, sb);
	for (std::size_t i = 0; i < sb->inodes.size(); i++) {
		inode *node = sb->inodes[i];

		node->i_lock.lock();
		const bool skip =
			node->i_state.test(I_FREEING) || xa_empty(&node->i_mapping->i_pages);
		node->i_lock.unlock();
		if (!skip)
			invalidate_mapping_pages(node->i_mapping, 0, ~pgoff_t{ 0 });
	}
}

/* Drops all folios that are clean, not mapped and not in use. May sleep. */
int drop_caches_sysctl_handler()
{
	FRAME(drop_caches_sysctl_handler);
	lru_add_drain_all();
	drop_pagecache_sb(this_machine().sb);
	return 0;
}

} // namespace kernel
