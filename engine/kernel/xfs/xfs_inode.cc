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

block_state peek_fork(const xfs_ifork &fork, std::uint64_t index)
{
	std::size_t cursor;
	xfs_bmbt_irec got;
	if (!xfs_iext_lookup_extent(&fork, index, &cursor, &got) || got.br_startoff > index)
		return {};
	if (got.kind == block_kind::DELALLOC)
		return { .kind = block_kind::DELALLOC };
	return { .kind = got.kind, .block = got.br_startblock + (index - got.br_startoff) };
}

std::uint64_t count_of(const xfs_ifork &fork)
{
	return fork.extents.empty() ? 0 : fork.extents.back().end();
}

block_state xfs_peek_block(const inode *node, std::uint64_t index)
{
	return peek_fork(XFS_I(node)->i_df, index);
}

std::uint64_t xfs_peek_block_count(const inode *node)
{
	return count_of(XFS_I(node)->i_df);
}

block_state xfs_peek_copy(const inode *node, std::uint64_t index)
{
	return peek_fork(XFS_I(node)->i_cow, index);
}

std::uint64_t xfs_peek_copy_count(const inode *node)
{
	return count_of(XFS_I(node)->i_cow);
}

std::uint64_t delalloc_blocks(const xfs_ifork &fork)
{
	std::uint64_t blocks = 0;
	for (const xfs_bmbt_irec &rec : fork.extents)
		blocks += rec.kind == block_kind::DELALLOC ? rec.br_blockcount : 0;
	return blocks;
}

inode_reservations xfs_peek_reservations(const inode *node)
{
	const xfs_inode *ip = XFS_I(node);
	return { .counted = ip->i_delayed_blks,
		 .data = delalloc_blocks(ip->i_df),
		 .copies = delalloc_blocks(ip->i_cow),
		 .behind_end = ip->i_eofblocks,
		 .copies_kept = ip->i_cowblocks };
}

std::uint64_t xfs_peek_reserved(const super_block *sb)
{
	return sb->delayed_blocks;
}

/*
 * What is reserved behind the end of the file, and in the COW fork, for writes to come goes with the
 * inode. XFS gives back what it finds there; here only what is there on purpose, so that the rest is
 * seen.
 */
void xfs_inactive(inode *node)
{
	FRAME(xfs_inode_mark_reclaimable);
	xfs_inode *ip = XFS_I(node);
	const loff_t size = XFS_FSB_TO_B(XFS_B_TO_FSB(ip->i_size.peek()));
	const loff_t end = XFS_FSB_TO_B(xfs_peek_block_count(ip));
	if (ip->i_eofblocks && end > size)
		xfs_bmap_punch_delalloc_range(ip, XFS_DATA_FORK, size, end);
	if (ip->i_cowblocks)
		xfs_reflink_cancel_cow_range(ip, 0, XFS_FSB_TO_B(xfs_peek_copy_count(ip)));
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
	.evict_inode = xfs_inactive,
	.peek_block = xfs_peek_block,
	.peek_block_count = xfs_peek_block_count,
	.peek_uptodate = iomap_is_partially_uptodate,
	.peek_dirty = iomap_peek_dirty,
	.peek_copy = xfs_peek_copy,
	.peek_copy_count = xfs_peek_copy_count,
	.peek_reservations = xfs_peek_reservations,
	.peek_reserved = xfs_peek_reserved,
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
	/* Whoever changed the one changed the other. */
	VM_WARN_ON_ONCE(delalloc_blocks(ip->i_df) + delalloc_blocks(ip->i_cow) !=
			ip->i_delayed_blks);
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
