// SPDX-License-Identifier: GPL-2.0-only
// Dirty inodes, the flusher, sync (fs/fs-writeback.c and fs/sync.c of 6.12).
//
// Left out: inodes' own metadata, time stamps, cgroup writeback, work items (sync writes in its own
// task instead of asking the flusher and waiting), b_io and b_more_io as separate lists. Time: when
// an inode gets dirty on a clean file system, a choice says whether the interval of the flusher ends
// within the run; if so the flusher may run at any moment from then on.
//
// Lock order: list_lock -> i_lock. An inode is on b_dirty or has I_SYNC if its pages are dirty.
#include <algorithm>

#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/barrier.h"
#include "scheduler/sync/retry_loop.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass list_lock_class{ "list_lock" };

/* list_lock held. */
void inode_io_list_del(bdi_writeback *wb, inode *node)
{
	std::erase(wb->b_dirty, node);
}

/* list_lock held. True if nothing was on the list before. */
bool inode_io_list_move(bdi_writeback *wb, inode *node)
{
	const bool first = wb->b_dirty.empty();
	inode_io_list_del(wb, node);
	wb->b_dirty.push_back(node);
	return first;
}

/* list_lock and i_lock held, I_SYNC set: after writeback, where does the inode belong? */
void requeue_inode(bdi_writeback *wb, inode *node)
{
	if (node->i_state.test(I_DIRTY_PAGES))
		inode_io_list_move(wb, node);
	else
		inode_io_list_del(wb, node);
}

/*
 * Writes the pages of one inode. I_SYNC set by the caller, no locks held; may sleep.
 * I_DIRTY_PAGES is cleared only after the pages were gone over, and comes back if some are dirty
 * again (or still):
 *
 *	here					__mark_inode_dirty
 *	1 clear I_DIRTY_PAGES			A set the DIRTY mark
 *	2 smp_mb()				B smp_mb()
 *	3 DIRTY mark? set I_DIRTY_PAGES		C I_DIRTY_PAGES? done, else set it
 *
 * At least one of the two sees what the other did.
 */
int __writeback_single_inode(inode *node, writeback_control *wbc)
{
	FRAME(__writeback_single_inode);
	address_space *mapping = node->i_mapping;
	const int ret = do_writepages(mapping, wbc);

	node->i_lock.lock();
	node->i_state.clear(I_DIRTY_PAGES);
	interleaf::smp_mb(); /* pairs with the one in mark_inode_dirty_pages */
	if (xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY))
		node->i_state.set(I_DIRTY_PAGES);
	node->i_lock.unlock();
	return ret;
}

/* One inode for sync: waits for whoever writes it already. May sleep. */
int writeback_single_inode(bdi_writeback *wb, inode *node, writeback_control *wbc)
{
	FRAME(writeback_single_inode);
	node->i_lock.lock();
	while (node->i_state.test(I_SYNC)) {
		node->i_lock.unlock();
		node->i_state.wait_clear(I_SYNC, "I_SYNC");
		node->i_lock.lock();
	}
	if (!node->i_state.test(I_DIRTY_PAGES)) {
		node->i_lock.unlock();
		return 0;
	}
	node->i_state.set(I_SYNC);
	node->i_lock.unlock();

	const int ret = __writeback_single_inode(node, wbc);

	wb->list_lock.lock();
	node->i_lock.lock();
	requeue_inode(wb, node);
	node->i_state.clear(I_SYNC);
	node->i_lock.unlock();
	wb->list_lock.unlock();
	return ret;
}

/* One pass of the flusher over what is dirty now. May sleep. Number of pages written. */
long writeback_sb_inodes(bdi_writeback *wb)
{
	FRAME(writeback_sb_inodes);
	long written = 0;
	wb->list_lock.lock();
	std::vector<inode *> b_io = wb->b_dirty;
	for (inode *node : b_io) {
		node->i_lock.lock();
		if (node->i_state.test(I_SYNC)) {
			node->i_lock.unlock();
			continue;
		}
		node->i_state.set(I_SYNC);
		node->i_lock.unlock();
		wb->list_lock.unlock();

		writeback_control wbc;
		wbc.sync_mode = WB_SYNC_NONE;
		__writeback_single_inode(node, &wbc);
		written += INT64_MAX - wbc.nr_to_write;

		wb->list_lock.lock();
		node->i_lock.lock();
		requeue_inode(wb, node);
		node->i_state.clear(I_SYNC);
		node->i_lock.unlock();
	}
	wb->list_lock.unlock();
	return written;
}

} // namespace

bdi_writeback::bdi_writeback() : list_lock(list_lock_class) {}

/*
 * A folio of the inode has just got the DIRTY mark. Does not sleep; any locks but list_lock and
 * i_lock may be held. See __writeback_single_inode for the barrier.
 */
void mark_inode_dirty_pages(inode *node)
{
	FRAME(__mark_inode_dirty);
	bdi_writeback *wb = &node->i_sb->s_wb;
	interleaf::smp_mb(); /* pairs with the one in __writeback_single_inode */
	if (node->i_state.test(I_DIRTY_PAGES))
		return;

	node->i_lock.lock();
	if (node->i_state.test(I_DIRTY_PAGES)) {
		node->i_lock.unlock();
		return;
	}
	node->i_state.set(I_DIRTY_PAGES);
	/* list_lock comes first. Who has I_SYNC will queue the inode itself. */
	node->i_lock.unlock();
	wb->list_lock.lock();
	node->i_lock.lock();
	bool wake = false;
	if (!node->i_state.test(I_SYNC))
		wake = inode_io_list_move(wb, node);
	node->i_lock.unlock();
	wb->list_lock.unlock();
	if (wake)
		wb->dwork.wake_up();
}

/*
 * Whether the interval after which dirty pages are old ends while this run lasts. A choice, since
 * it is 30 seconds there and most races are over in microseconds.
 */
static bool dirty_writeback_timer_expires()
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	return scheduler == nullptr || scheduler->choose("dirty_writeback_timer", 2) == 1;
}

void wb_workfn()
{
	FRAME(wb_workfn);
	bdi_writeback *wb = &this_machine().sb->s_wb;
	interleaf::RetryLoop loop;
	for (;;) {
		wb->dwork.wait_event([wb] {
			wb->list_lock.lock();
			const bool dirty = !wb->b_dirty.empty();
			wb->list_lock.unlock();
			return dirty;
		});
		if (!dirty_writeback_timer_expires()) {
			/* Until somebody dirties a clean file system again. */
			wb->dwork.prepare_to_wait();
			wb->dwork.schedule();
			wb->dwork.finish_wait();
			continue;
		}
		/* Dirty, but under writeback or locked by sync: not before somebody moves on. */
		if (writeback_sb_inodes(wb) == 0)
			loop.again();
		else
			loop.worked();
	}
}

/*
 * Writes everything and waits for all of it. Does not take errors away from those who will ask
 * for them with fsync. May sleep. 0: sync(2) has nothing to report.
 */
int sync_filesystem(super_block *sb)
{
	FRAME(sync_filesystem);
	for (inode *node : sb->inodes) {
		writeback_control wbc;
		wbc.sync_mode = WB_SYNC_ALL;
		writeback_single_inode(&sb->s_wb, node, &wbc);
	}
	for (inode *node : sb->inodes)
		__filemap_fdatawait_range(node->i_mapping, 0, LLONG_MAX_POS);
	return 0;
}

} // namespace kernel
