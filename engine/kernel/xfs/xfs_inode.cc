// SPDX-License-Identifier: GPL-2.0-only
// XFS: inodes, the super block's operations, the log (see xfs_inode.h).
#include "engine/kernel/xfs/xfs_inode.h"

#include <utility>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"
#include "scheduler/scheduler.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass ilock_class{ "ILOCK" };
constexpr interleaf::LockClass i_ioend_lock_class{ "i_ioend_lock" };

inode *xfs_alloc_inode(super_block *sb, std::string_view name, unsigned ino)
{
	auto *ip = new xfs_inode(sb, std::string(name), ino);
	ip->i_op = &xfs_inode_operations;
	ip->i_fop = &xfs_file_operations;
	ip->i_mapping->a_ops = &xfs_address_space_operations;
	return ip;
}

block_state xfs_peek_block(const inode *node, std::uint64_t index)
{
	std::size_t cursor;
	xfs_bmbt_irec got;
	if (!xfs_iext_lookup_extent(&XFS_I(node)->i_df, index, &cursor, &got) ||
	    got.br_startoff > index)
		return {};
	if (got.kind == block_kind::DELALLOC)
		return { .kind = block_kind::DELALLOC };
	return { .kind = got.kind, .block = got.br_startblock + (index - got.br_startoff) };
}

std::uint64_t xfs_peek_block_count(const inode *node)
{
	const xfs_ifork &fork = XFS_I(node)->i_df;
	return fork.extents.empty() ? 0 : fork.extents.back().end();
}

/*
 * What was reserved and not written is a leak: nobody would ever give it back. Behind the end of the
 * file, and in the COW fork, it may be there for writes to come, and goes with the inode.
 */
void xfs_evict_inode(inode *node)
{
	FRAME(xfs_inode_mark_reclaimable);
	const xfs_inode *ip = XFS_I(node);
	const xfs_fileoff_t eof = XFS_B_TO_FSB(ip->i_size.look());
	std::uint64_t delayed = 0;
	bool delalloc_below_eof = false;
	bool delalloc_behind_eof = false;
	for (const xfs_bmbt_irec &rec : ip->i_df.extents) {
		if (rec.kind != block_kind::DELALLOC)
			continue;
		delayed += rec.br_blockcount;
		delalloc_below_eof = delalloc_below_eof || rec.br_startoff < eof;
		delalloc_behind_eof = delalloc_behind_eof || rec.end() > eof;
	}
	bool delalloc_cow = false;
	for (const xfs_bmbt_irec &rec : ip->i_cow.extents) {
		if (rec.kind != block_kind::DELALLOC)
			continue;
		delayed += rec.br_blockcount;
		delalloc_cow = true;
	}
	VM_WARN_ON_ONCE(delayed != ip->i_delayed_blks);
	VM_WARN_ON_ONCE(delalloc_below_eof);
	VM_WARN_ON_ONCE(delalloc_behind_eof && !ip->i_eofblocks);
	VM_WARN_ON_ONCE(delalloc_cow && !ip->i_cowblocks);
}

void xfs_spawn_daemons(interleaf::Scheduler &scheduler)
{
	scheduler.spawn(
		"kworker/xfs", [](void *) { xfs_end_io_worker(); }, nullptr, true);
}

} // namespace

const super_operations xfs_super_operations = {
	.spawn_daemons = xfs_spawn_daemons,
	.alloc_inode = xfs_alloc_inode,
	.map_block = xfs_map_block,
	.evict_inode = xfs_evict_inode,
	.peek_block = xfs_peek_block,
	.peek_block_count = xfs_peek_block_count,
	.peek_uptodate = iomap_is_partially_uptodate,
};

xfs_inode::xfs_inode(super_block *sb, std::string file_name, unsigned ino)
	: inode(sb, std::move(file_name), ino), i_ilock(ilock_class),
	  i_ioend_lock(i_ioend_lock_class)
{
}

void xfs_ilock_shared(xfs_inode *ip)
{
	ip->i_ilock.down_read();
}

void xfs_iunlock_shared(xfs_inode *ip)
{
	ip->i_ilock.up_read();
}

void xfs_ilock(xfs_inode *ip)
{
	ip->i_ilock.down_write();
}

void xfs_iunlock(xfs_inode *ip)
{
	ip->i_ilock.up_write();
}

xfs_fileoff_t XFS_B_TO_FSBT(loff_t bytes)
{
	return static_cast<xfs_fileoff_t>(bytes) / this_machine().geo.block_size;
}

xfs_fileoff_t XFS_B_TO_FSB(loff_t bytes)
{
	return XFS_B_TO_FSBT(bytes + this_machine().geo.block_size - 1);
}

loff_t XFS_FSB_TO_B(xfs_fileoff_t blocks)
{
	return static_cast<loff_t>(blocks * this_machine().geo.block_size);
}

void xfs_trans_commit(xfs_inode *ip)
{
	ip->i_sb->s_log.inc();
	this_machine().watcher->metadata_logged(*ip);
}

void xfs_log_force(super_block *sb)
{
	if (this_machine().geo.barriers != 0)
		blkdev_issue_flush(sb->s_bdev);
	this_machine().watcher->metadata_committed(sb->s_log.read());
}

} // namespace kernel
