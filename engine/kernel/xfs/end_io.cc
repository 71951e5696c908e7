// SPDX-License-Identifier: GPL-2.0-only
// The end of writeback (fs/xfs/xfs_aops.c and xfs_iomap.c of 6.12). Unwritten extents are converted
// and the size on the disk follows before PG_writeback goes, so that who waited for writeback finds
// the extents as they are.
//
// One worker does it for all inodes, where Linux has a work item for each.
//
// Lock order: ILOCK; no folio lock.
#include <algorithm>
#include <utility>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* The size that the disk should know when all up to new_size is written; 0: it does already. */
loff_t xfs_new_eof(const xfs_inode *ip, loff_t new_size)
{
	const loff_t size = std::min(new_size, i_size_read(ip));
	return size > ip->i_disksize.load() ? size : 0;
}

loff_t ioend_end(const iomap_ioend *ioend)
{
	return ioend->io_offset + static_cast<loff_t>(ioend->io_size);
}

/* What is behind the data of the request is not on the disk: a crash would show zeros for it. */
void set_disk_size(xfs_inode *ip, const iomap_ioend *ioend, loff_t size)
{
	VM_WARN_ON_ONCE(size > ioend->io_data_end);
	ip->i_disksize.store(size);
}

void xfs_iomap_write_unwritten(xfs_inode *ip, const iomap_ioend *ioend)
{
	FRAME(xfs_iomap_write_unwritten);
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(ioend->io_offset);
	xfs_ilock(ip);
	xfs_bmapi_convert_unwritten(ip, XFS_DATA_FORK, fsb, XFS_B_TO_FSB(ioend_end(ioend)) - fsb);
	if (const loff_t size = xfs_new_eof(ip, ioend_end(ioend)))
		set_disk_size(ip, ioend, size);
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
}

void xfs_setfilesize(xfs_inode *ip, const iomap_ioend *ioend)
{
	FRAME(xfs_setfilesize);
	xfs_ilock(ip);
	if (const loff_t size = xfs_new_eof(ip, ioend_end(ioend))) {
		set_disk_size(ip, ioend, size);
		xfs_trans_commit(ip);
	}
	xfs_iunlock(ip);
}

void xfs_end_ioend(iomap_ioend *ioend)
{
	FRAME(xfs_end_ioend);
	xfs_inode *ip = XFS_I(ioend->io_inode);
	const int error = ioend->io_bio->status;
	const bool shared = (ioend->io_flags & IOMAP_F_SHARED) != 0;
	if (error != 0 && shared) {
		xfs_reflink_cancel_cow_range(ip, ioend->io_offset,
					     ioend_end(ioend) - ioend->io_offset);
		xfs_bmap_punch_delalloc_range(ip, XFS_DATA_FORK, ioend->io_offset,
					      ioend_end(ioend));
	}
	if (patched(Patch::kZoned))
		xfs_zoned_end_io(ip, ioend, error);
	else if (error == 0 && shared)
		xfs_reflink_end_cow(ip, ioend->io_offset, ioend->io_bytes);
	else if (error == 0 && ioend->io_type == iomap_type::UNWRITTEN)
		xfs_iomap_write_unwritten(ip, ioend);
	if (error == 0 && xfs_ioend_is_append(ioend))
		xfs_setfilesize(ip, ioend);
	iomap_finish_ioend(ioend, error);
}

/* By offset. Linux joins what lies side by side, to convert it at once. */
void xfs_end_io(xfs_inode *ip)
{
	FRAME(xfs_end_io);
	ip->i_ioend_lock.lock();
	std::vector<iomap_ioend *> list = std::exchange(ip->i_ioend_list, {});
	ip->i_ioend_lock.unlock();
	std::stable_sort(list.begin(), list.end(), [](const iomap_ioend *a, const iomap_ioend *b) {
		return a->io_offset < b->io_offset;
	});
	for (iomap_ioend *ioend : list)
		xfs_end_ioend(ioend);
}

} // namespace

bool xfs_ioend_is_append(const iomap_ioend *ioend)
{
	return ioend_end(ioend) > ioend->io_inode->i_disksize.read_once();
}

void xfs_end_bio(bio *request)
{
	FRAME(xfs_end_bio);
	auto *ioend = static_cast<iomap_ioend *>(request->private_data);
	xfs_inode *ip = XFS_I(ioend->io_inode);
	ip->i_ioend_lock.lock();
	const bool first = ip->i_ioend_list.empty();
	ip->i_ioend_list.push_back(ioend);
	ip->i_ioend_lock.unlock();
	if (first)
		ip->i_sb->s_end_io.queue(ip);
}

void xfs_end_io_worker()
{
	for (;;)
		xfs_end_io(XFS_I(this_machine().sb->s_end_io.wait()));
}

} // namespace kernel
