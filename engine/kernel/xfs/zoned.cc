// SPDX-License-Identifier: GPL-2.0-only
// Files on a zoned device (fs/xfs/xfs_iomap.c, xfs_aops.c and xfs_zone_alloc.c of 6.15 to 7.1). Nothing
// is written in place, shared or not:
//
//   write       reserves in the COW fork
//   writeback   takes the reservation out and writes to new blocks: now neither fork knows of them
//   its end     maps the blocks in the data fork, in place of what was there
//
// The forks' lock is not held from writeback to its end. Who looks in between finds in both forks what
// was there before the write, and has to look at the page cache, too.
//
// Left out: zones themselves (blocks are free until they are allocated), the space taken up front for a
// whole write, garbage collection. That a short write gives back what it reserved is as for other
// copies; it was not looked up.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> ILOCK.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/filemap.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* Would the bytes be zeros if nothing were cached, though something is on its way to the disk? */
bool hole_is_dirty(inode *node, loff_t pos, loff_t end)
{
	address_space *mapping = node->i_mapping;
	return (xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY) ||
		xa_marked(&mapping->i_pages, PAGECACHE_TAG_WRITEBACK)) &&
	       filemap_range_has_writeback(mapping, pos, end - 1);
}

/*
 * ILOCK held. 0, or an error. 1: data may be between the forks, up to *hole_end. That is found out under
 * ILOCK, which the end of writeback needs: else it could have mapped the data since the look at the
 * forks, and ended.
 */
int begin_locked(xfs_inode *ip, loff_t pos, std::uint64_t length, unsigned flags, iomap *map,
		 iomap *srcmap, loff_t *hole_end)
{
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(pos);
	xfs_fileoff_t end_fsb = XFS_B_TO_FSB(pos + static_cast<loff_t>(length));
	std::size_t cursor;
	xfs_bmbt_irec smap;
	xfs_bmbt_irec cmap;
	if (!xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &smap))
		smap.br_startoff = end_fsb;
	const bool hole = smap.br_startoff > fsb;
	end_fsb = std::min(end_fsb, hole ? smap.br_startoff : smap.end());
	const bool has_cow =
		xfs_iext_lookup_extent(&ip->i_cow, fsb, &cursor, &cmap) && cmap.br_startoff <= fsb;
	if (hole && !has_cow && (flags & (IOMAP_ZERO | IOMAP_UNSHARE)) != 0) {
		*hole_end = XFS_FSB_TO_B(end_fsb);
		if ((flags & IOMAP_ZERO) != 0 && patched(Patch::kZonedZeroFlush) &&
		    hole_is_dirty(ip, pos, *hole_end))
			return 1;
		*map = { .type = iomap_type::HOLE,
			 .offset = XFS_FSB_TO_B(fsb),
			 .length = static_cast<std::uint64_t>(XFS_FSB_TO_B(end_fsb - fsb)) };
		return 0;
	}
	unsigned map_flags = IOMAP_F_SHARED;
	if (!has_cow) {
		if (cursor < ip->i_cow.extents.size())
			end_fsb = std::min(end_fsb, ip->i_cow.extents[cursor].br_startoff);
		const int error =
			xfs_bmapi_reserve_delalloc(ip, XFS_COW_FORK, fsb, end_fsb - fsb, 0, &cmap);
		if (error != 0)
			return error;
		map_flags |= IOMAP_F_NEW;
	}
	xfs_trim_extent(&cmap, fsb, end_fsb - fsb);
	if (!hole) {
		xfs_trim_extent(&smap, fsb, end_fsb - fsb);
		xfs_bmbt_to_iomap(srcmap, &smap, 0, xfs_iomap_inode_sequence(ip, 0));
	}
	xfs_bmbt_to_iomap(map, &cmap, map_flags, xfs_iomap_inode_sequence(ip, map_flags));
	return 0;
}

/* What writeback has written takes the place of what the data fork has. */
void xfs_zoned_end_extent(xfs_inode *ip, const xfs_bmbt_irec &written)
{
	FRAME(xfs_zoned_end_extent);
	xfs_ilock(ip);
	xfs_bunmapi(ip, XFS_DATA_FORK, written.br_startoff, written.br_blockcount);
	xfs_bmap_map_extent(ip, written);
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
}

} // namespace

int xfs_zoned_buffered_write_iomap_begin(inode *node, loff_t pos, std::uint64_t length,
					 unsigned flags, iomap *map, iomap *srcmap)
{
	FRAME(xfs_zoned_buffered_write_iomap_begin);
	xfs_inode *ip = XFS_I(node);
	for (;;) {
		loff_t hole_end = 0;
		xfs_ilock(ip);
		const int ret = begin_locked(ip, pos, length, flags, map, srcmap, &hole_end);
		xfs_iunlock(ip);
		if (ret <= 0)
			return ret;
		const int error = filemap_write_and_wait_range(node->i_mapping, pos, hole_end - 1);
		if (error != 0)
			return error;
	}
}

/* The reservation goes, new blocks are there in its place. 0, -ENOSPC. */
int xfs_zoned_map_blocks(iomap_writepage_ctx *wpc, inode *node, loff_t offset, std::size_t len)
{
	FRAME(xfs_zoned_map_blocks);
	xfs_inode *ip = XFS_I(node);
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(offset);
	const xfs_fileoff_t end_fsb = XFS_B_TO_FSB(offset + static_cast<loff_t>(len));
	std::size_t cursor;
	xfs_bmbt_irec imap;
	xfs_ilock(ip);
	if (!xfs_iext_lookup_extent(&ip->i_cow, fsb, &cursor, &imap))
		imap.br_startoff = end_fsb;
	if (imap.br_startoff > fsb) {
		xfs_iunlock(ip);
		wpc->map = { .type = iomap_type::HOLE,
			     .offset = offset,
			     .length = static_cast<std::uint64_t>(
				     XFS_FSB_TO_B(std::min(imap.br_startoff, end_fsb)) - offset) };
		return 0;
	}
	xfs_trim_extent(&imap, fsb, end_fsb - fsb);
	xfs_bunmapi(ip, XFS_COW_FORK, imap.br_startoff, imap.br_blockcount);
	imap.br_startblock = xfs_alloc_blocks(ip->i_sb, imap.br_blockcount);
	xfs_iunlock(ip);
	if (imap.br_startblock == BLOCK_HOLE)
		return -ENOSPC;
	imap.kind = block_kind::WRITTEN;
	xfs_bmbt_to_iomap(&wpc->map, &imap, 0, 0);
	return 0;
}

void xfs_zoned_end_io(xfs_inode *ip, const iomap_ioend *ioend, int error)
{
	FRAME(xfs_zoned_end_io);
	const std::uint64_t count = ioend->io_bytes / this_machine().geo.block_size;
	if (error != 0) {
		ip->i_sb->freed_blocks += count;
		return;
	}
	xfs_zoned_end_extent(ip, { .br_startoff = XFS_B_TO_FSBT(ioend->io_offset),
				   .br_blockcount = count,
				   .kind = block_kind::WRITTEN,
				   .br_startblock = ioend->io_next_block - count });
}

} // namespace kernel
