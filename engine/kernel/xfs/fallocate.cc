// SPDX-License-Identifier: GPL-2.0-only
// fallocate(2): preallocation, hole punch, zero range, collapse and insert range (fs/xfs/xfs_file.c
// and xfs_bmap_util.c of 6.12).
//
// Left out: a transaction for each extent (all of a range changes under one hold of ILOCK, as
// ILOCK is held over the transactions in Linux, too), RT extents, quota.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> ILOCK.
#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>

#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

loff_t round_down(loff_t pos, loff_t size)
{
	return pos / size * size;
}

loff_t round_up(loff_t pos, loff_t size)
{
	return round_down(pos + size - 1, size);
}

/* Whole blocks of the bytes become holes, the rest of the bytes zeros, up to the end of the file. */
int xfs_free_file_space(xfs_inode *ip, loff_t offset, loff_t len)
{
	FRAME(xfs_free_file_space);
	int error = xfs_flush_unmap_range(ip, offset, len);
	if (error != 0)
		return error;
	const xfs_fileoff_t first = XFS_B_TO_FSB(offset);
	const xfs_fileoff_t end = XFS_B_TO_FSBT(offset + len);
	if (end > first) {
		xfs_ilock(ip);
		xfs_bunmapi(ip, XFS_DATA_FORK, first, end - first);
		xfs_trans_commit(ip);
		xfs_iunlock(ip);
	}
	const loff_t size = i_size_read(ip);
	if (offset >= size)
		return 0;
	len = std::min(len, size - offset);
	error = xfs_zero_range(ip, offset, len, nullptr);
	if (error != 0)
		return error;
	/* A mapping may have stored behind the end: writeback of the last page zeroes that. */
	if (offset + len >= size && (offset + len) % page_size() != 0)
		error = filemap_write_and_wait_range(
			ip->i_mapping, round_down(offset + len, page_size()), LLONG_MAX_POS);
	return error;
}

/* Holes and reservations of the bytes become UNWRITTEN. */
int xfs_alloc_file_space(xfs_inode *ip, loff_t offset, loff_t len)
{
	FRAME(xfs_alloc_file_space);
	const xfs_fileoff_t first = XFS_B_TO_FSBT(offset);
	xfs_ilock(ip);
	const int error = xfs_bmapi_write(ip, first, XFS_B_TO_FSB(offset + len) - first);
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
	return error;
}

/* Extents from `offset` on are about to move: nothing of them may be in the cache, nor any of what
 * was reserved behind the end of the file. */
int xfs_prepare_shift(xfs_inode *ip, loff_t offset)
{
	FRAME(xfs_prepare_shift);
	xfs_ilock(ip);
	const xfs_fileoff_t eof = XFS_B_TO_FSB(i_size_read(ip));
	xfs_bunmapi(ip, XFS_DATA_FORK, eof, ~std::uint64_t{ 0 } - eof);
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
	offset = round_down(offset, this_machine().geo.block_size);
	const int error = xfs_flush_unmap_range(ip, offset, i_size_read(ip) - offset);
	/* Nothing is on its way to a copy any more: what is left of them must not stay where it is. */
	if (error == 0 && xfs_inode_has_cow_data(ip))
		xfs_reflink_cancel_cow_range(ip, offset, LLONG_MAX_POS / 2);
	return error;
}

int xfs_collapse_file_space(xfs_inode *ip, loff_t offset, loff_t len)
{
	FRAME(xfs_collapse_file_space);
	int error = xfs_free_file_space(ip, offset, len);
	if (error == 0)
		error = xfs_prepare_shift(ip, offset);
	if (error != 0)
		return error;
	xfs_ilock(ip);
	xfs_bmap_shift(ip, XFS_B_TO_FSB(offset + len), -static_cast<long>(XFS_B_TO_FSB(len)));
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
	return 0;
}

int xfs_insert_file_space(xfs_inode *ip, loff_t offset, loff_t len)
{
	FRAME(xfs_insert_file_space);
	const int error = xfs_prepare_shift(ip, offset);
	if (error != 0)
		return error;
	xfs_ilock(ip);
	xfs_bmap_shift(ip, XFS_B_TO_FSB(offset), static_cast<long>(XFS_B_TO_FSB(len)));
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
	return 0;
}

bool is_aligned(loff_t offset, loff_t len)
{
	return (offset | len) % this_machine().geo.block_size == 0;
}

/* i_rwsem and invalidate_lock held for write. */
long fallocate_locked(xfs_inode *ip, int mode, loff_t offset, loff_t len)
{
	const loff_t size = i_size_read(ip);
	const bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
	loff_t new_size = !keeps_size && offset + len > size ? offset + len : 0;
	int error = 0;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case FALLOC_FL_PUNCH_HOLE:
		return xfs_free_file_space(ip, offset, len);
	case FALLOC_FL_COLLAPSE_RANGE:
		if (!is_aligned(offset, len) || offset + len >= size)
			return -EINVAL;
		new_size = size - len;
		error = xfs_collapse_file_space(ip, offset, len);
		break;
	case FALLOC_FL_INSERT_RANGE:
		if (!is_aligned(offset, len) || offset >= size)
			return -EINVAL;
		new_size = size + len;
		/* Writeback after the file has grown would take what lies behind the end for data. */
		if (patched(Patch::kInsertRangeFlush))
			error = filemap_write_and_wait_range(
				ip->i_mapping, round_down(size, page_size()), LLONG_MAX_POS);
		break;
	case FALLOC_FL_ZERO_RANGE: {
		if (patched(Patch::kForceZeroRange) || patched(Patch::kZoned)) {
			error = xfs_zero_range(ip, offset, len, nullptr);
			break;
		}
		error = xfs_free_file_space(ip, offset, len);
		const loff_t block = this_machine().geo.block_size;
		const loff_t end = round_up(offset + len, block);
		offset = round_down(offset, block);
		len = end - offset;
		if (error == 0)
			error = xfs_alloc_file_space(ip, offset, len);
		break;
	}
	case FALLOC_FL_UNSHARE_RANGE:
		error = xfs_reflink_unshare(ip, offset, len);
		if (error == 0)
			error = xfs_alloc_file_space(ip, offset, len);
		break;
	case 0:
		if (patched(Patch::kZoned))
			return -EOPNOTSUPP; /* blocks in advance are no use if none is overwritten */
		error = xfs_alloc_file_space(ip, offset, len);
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (error == 0 && new_size != 0)
		error = xfs_setattr_size(ip, new_size);
	/* With the new size: a crash leaves no data behind the end of the file. */
	if (error == 0 && (mode & FALLOC_FL_INSERT_RANGE) != 0)
		error = xfs_insert_file_space(ip, offset, len);
	return error;
}

} // namespace

int xfs_flush_unmap_range(xfs_inode *ip, loff_t offset, loff_t len)
{
	FRAME(xfs_flush_unmap_range);
	const loff_t start = round_down(offset, page_size());
	const loff_t end = round_up(offset + len, page_size()) - 1;
	const int error = filemap_write_and_wait_range(ip->i_mapping, start, end);
	if (error == 0)
		truncate_pagecache_range(ip, start, end);
	return error;
}

long xfs_file_fallocate(file *f, int mode, loff_t offset, loff_t len)
{
	FRAME(xfs_file_fallocate);
	xfs_inode *ip = XFS_I(f->f_inode);
	inode_lock(ip);
	filemap_invalidate_lock(ip->i_mapping);
	inode_dio_wait(ip);
	const long error = fallocate_locked(ip, mode, offset, len);
	filemap_invalidate_unlock(ip->i_mapping);
	inode_unlock(ip);
	if (error == 0 && (f->f_flags & O_DSYNC) != 0)
		xfs_log_force(ip->i_sb);
	return error;
}

} // namespace kernel
