// SPDX-License-Identifier: GPL-2.0-only
// Changes of a file's size, and zeroing (fs/xfs/xfs_iops.c, xfs_iomap.c and xfs_inode.c of 6.12).
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> ILOCK.
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* All behind `size` goes. ILOCK held. */
void xfs_itruncate_extents_flags(xfs_inode *ip, loff_t size)
{
	FRAME(xfs_itruncate_extents_flags);
	const xfs_fileoff_t first = XFS_B_TO_FSB(size);
	xfs_bunmapi(ip, XFS_DATA_FORK, first, ~std::uint64_t{ 0 } - first);
	xfs_reflink_cancel_cow_blocks(ip, first, ~std::uint64_t{ 0 } - first);
}

} // namespace

int xfs_zero_range(inode *node, loff_t pos, loff_t len, bool *did_zero)
{
	FRAME(xfs_zero_range);
	return iomap_zero_range(node, pos, len, did_zero, &xfs_buffered_write_iomap_ops);
}

int xfs_truncate_page(inode *node, loff_t pos, bool *did_zero)
{
	FRAME(xfs_truncate_page);
	return iomap_truncate_page(node, pos, did_zero, &xfs_buffered_write_iomap_ops);
}

/* Zeroes in the cache while the old size still holds; what was zeroed is written before the new one
 * is logged. */
int xfs_setattr_size(inode *node, loff_t newsize)
{
	FRAME(xfs_setattr_size);
	xfs_inode *ip = XFS_I(node);
	address_space *mapping = ip->i_mapping;
	const loff_t oldsize = ip->i_size.load();
	bool did_zeroing = false;
	int error = 0;
	inode_dio_wait(ip);
	if (newsize > oldsize) {
		error = xfs_zero_range(ip, oldsize, newsize - oldsize, &did_zeroing);
	} else {
		/* An unwritten block that is dirty is not zeroed: writeback does it, if the file
		 * ends there. */
		if (!patched(Patch::kZeroRangeFlushAll))
			error = filemap_write_and_wait_range(mapping, newsize, newsize);
		if (error == 0)
			error = xfs_truncate_page(ip, newsize, &did_zeroing);
	}
	if (error != 0)
		return error;
	truncate_setsize(ip, newsize);
	const loff_t disk_size = ip->i_disksize.load();
	/* Else a crash could show the gap before what was written up to the old end. */
	if (did_zeroing || (newsize > disk_size && oldsize != disk_size)) {
		error = filemap_write_and_wait_range(mapping, disk_size, newsize - 1);
		if (error != 0)
			return error;
	}
	xfs_ilock(ip);
	ip->i_disksize.store(newsize);
	if (newsize <= oldsize)
		xfs_itruncate_extents_flags(ip, newsize);
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
	return 0;
}

static int xfs_vn_setattr_size(inode *node, loff_t newsize)
{
	filemap_invalidate_lock(node->i_mapping);
	const int error = xfs_setattr_size(node, newsize);
	filemap_invalidate_unlock(node->i_mapping);
	return error;
}

const inode_operations xfs_inode_operations = { .setattr_size = xfs_vn_setattr_size };

} // namespace kernel
