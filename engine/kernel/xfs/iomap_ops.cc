// SPDX-License-Identifier: GPL-2.0-only
// What iomap asks XFS (fs/xfs/xfs_iomap.c of 6.12): where a file's bytes are, and space for those that
// are to be written.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> ILOCK.
#include <algorithm>
#include <bit>

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/*
 * How many blocks more to reserve for a write behind the end of the file, which others will follow:
 * as much as the file has in one piece before it, and at least 64 KiB; nothing for small files. The
 * throttling near the end of free space is left out. ILOCK held.
 */
std::uint64_t xfs_iomap_prealloc_size(const xfs_inode *ip, xfs_fileoff_t fsb, loff_t end)
{
	FRAME(xfs_iomap_prealloc_size);
	const std::uint64_t smallest = XFS_B_TO_FSB(1 << 16);
	const loff_t size = i_size_read(ip);
	if (end <= size || size < XFS_FSB_TO_B(smallest))
		return 0;
	const std::vector<xfs_bmbt_irec> &all = ip->i_df.extents;
	std::size_t cursor;
	xfs_bmbt_irec got;
	xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &got);
	if (cursor == 0 || all[cursor - 1].end() < fsb)
		return smallest;
	std::uint64_t length = all[cursor - 1].br_blockcount;
	for (std::size_t i = cursor - 1; i > 0; i--) {
		if (all[i - 1].kind == block_kind::DELALLOC ||
		    all[i - 1].end() != all[i].br_startoff ||
		    all[i - 1].br_startblock + all[i - 1].br_blockcount != all[i].br_startblock)
			break;
		length += all[i - 1].br_blockcount;
	}
	return std::max(std::bit_floor(2 * length), smallest);
}

void xfs_hole_to_iomap(iomap *map, xfs_fileoff_t start, xfs_fileoff_t end)
{
	*map = { .type = iomap_type::HOLE,
		 .offset = XFS_FSB_TO_B(start),
		 .length = static_cast<std::uint64_t>(XFS_FSB_TO_B(end - start)) };
}

/* Reserves the hole at fsb up to end_fsb. ILOCK held. 0, -ENOSPC. */
int reserve_hole(xfs_inode *ip, xfs_fileoff_t fsb, xfs_fileoff_t end_fsb, loff_t end, bool at_eof,
		 xfs_bmbt_irec *imap)
{
	std::uint64_t prealloc = 0;
	if (at_eof && end > i_size_read(ip))
		prealloc = xfs_iomap_prealloc_size(ip, fsb, end);
	int error = xfs_bmapi_reserve_delalloc(ip, fsb, end_fsb - fsb, prealloc, imap);
	if (error == 0)
		ip->i_eofblocks = ip->i_eofblocks || prealloc != 0;
	else if (error == -ENOSPC && prealloc != 0)
		error = xfs_bmapi_reserve_delalloc(ip, fsb, end_fsb - fsb, 0, imap);
	return error;
}

/*
 * Zero range is over an extent. What is reserved behind the last block of the file is not zeroed but
 * converted; otherwise the iomap ends with that block. Over an unwritten extent the dirty folios are
 * looked up now: as long as ILOCK is held, no writeback can end that would make data of it.
 */
void begin_of_zeroing(xfs_inode *ip, loff_t pos, loff_t end, xfs_bmbt_irec *imap, iomap *map,
		      bool *converts)
{
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(pos);
	const xfs_fileoff_t eof_fsb = XFS_B_TO_FSB(i_size_read(ip));
	xfs_fileoff_t end_fsb = XFS_B_TO_FSB(end);
	if (imap->kind == block_kind::DELALLOC && patched(Patch::kZeroConvertsDelalloc)) {
		*converts = fsb >= eof_fsb;
		end_fsb = std::min(end_fsb, eof_fsb);
		if (!*converts)
			xfs_trim_extent(imap, fsb, end_fsb - fsb);
	}
	if (imap->kind != block_kind::UNWRITTEN || fsb >= eof_fsb ||
	    !patched(Patch::kZeroRangeBatch))
		return;
	end_fsb = std::min({ end_fsb, eof_fsb, imap->end() });
	const loff_t looked = iomap_fill_dirty_folios(ip, pos, XFS_FSB_TO_B(end_fsb), map);
	xfs_trim_extent(imap, fsb, std::min(end_fsb, XFS_B_TO_FSB(looked)) - fsb);
}

/* The reservation becomes unwritten, and reads as zeros once nothing is in the cache. */
int convert_delay(xfs_inode *ip, loff_t pos, iomap *map)
{
	std::uint32_t seq;
	truncate_pagecache(ip, pos);
	return xfs_bmapi_convert_delalloc(ip, pos, map, &seq);
}

/* For write(), page faults and zeroing. */
int xfs_buffered_write_iomap_begin(inode *node, loff_t pos, std::uint64_t length, unsigned flags,
				   iomap *map)
{
	FRAME(xfs_buffered_write_iomap_begin);
	xfs_inode *ip = XFS_I(node);
	/* No more than so much at a time. */
	length = std::min<std::uint64_t>(length, std::uint64_t{ 1024 } * page_size());
	const loff_t end = pos + static_cast<loff_t>(length);
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(pos);
	const xfs_fileoff_t end_fsb = XFS_B_TO_FSB(end);
	std::size_t cursor;
	xfs_bmbt_irec imap;
	unsigned map_flags = 0;
	int error = 0;

	xfs_ilock(ip);
	const bool eof = !xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &imap);
	if (eof)
		imap.br_startoff = end_fsb;
	if ((flags & IOMAP_ZERO) != 0 && imap.br_startoff > fsb) {
		xfs_hole_to_iomap(map, fsb, imap.br_startoff);
		xfs_iunlock(ip);
		return 0;
	}
	if ((flags & IOMAP_ZERO) != 0) {
		bool converts = false;
		begin_of_zeroing(ip, pos, end, &imap, map, &converts);
		if (converts) {
			xfs_iunlock(ip);
			return convert_delay(ip, pos, map);
		}
		map_flags = map->flags;
	}
	if (imap.br_startoff > fsb) {
		error = reserve_hole(ip, fsb, end_fsb, end, eof, &imap);
		map_flags = IOMAP_F_NEW;
	}
	if (error == 0)
		xfs_bmbt_to_iomap(map, &imap, map_flags, xfs_iomap_inode_sequence(ip, map_flags));
	xfs_iunlock(ip);
	return error;
}

void xfs_buffered_write_delalloc_punch(inode *node, loff_t offset, loff_t length, const iomap *)
{
	xfs_bmap_punch_delalloc_range(XFS_I(node), offset, offset + length);
}

/*
 * As it was before 6.2: out of the cache with the unused bytes, and then the reservation. What others
 * have stored there since begin is lost. invalidate_lock keeps page faults out between the two.
 */
void truncate_and_punch(inode *node, loff_t start, loff_t end)
{
	const bool locks = patched(Patch::kPunchUnderLock);
	if (locks)
		filemap_invalidate_lock(node->i_mapping);
	truncate_pagecache_range(node, start, end - 1);
	xfs_bmap_punch_delalloc_range(XFS_I(node), start, end);
	if (locks)
		filemap_invalidate_unlock(node->i_mapping);
}

int xfs_buffered_write_iomap_end(inode *node, loff_t pos, std::uint64_t length, long written,
				 unsigned, iomap *map)
{
	FRAME(xfs_buffered_write_iomap_end);
	if (map->type != iomap_type::DELALLOC || (map->flags & IOMAP_F_NEW) == 0)
		return 0;
	const loff_t start = iomap_unused_start(pos, written);
	const loff_t end = iomap_unused_end(pos, length);
	if (start >= end)
		return 0;
	if (!patched(Patch::kFailedWriteKeepsCache)) {
		truncate_and_punch(node, start, end);
		return 0;
	}
	filemap_invalidate_lock(node->i_mapping);
	iomap_write_delalloc_release(node, start, end, map, xfs_buffered_write_delalloc_punch);
	filemap_invalidate_unlock(node->i_mapping);
	return 0;
}

/* Page faults: nothing to clean up, since 6.2. */
int xfs_page_mkwrite_iomap_end(inode *node, loff_t pos, std::uint64_t length, long written,
			       unsigned flags, iomap *map)
{
	if (patched(Patch::kFaultHasNoEnd))
		return 0;
	return xfs_buffered_write_iomap_end(node, pos, length, written, flags, map);
}

int xfs_read_iomap_begin(inode *node, loff_t pos, std::uint64_t length, unsigned, iomap *map)
{
	FRAME(xfs_read_iomap_begin);
	xfs_inode *ip = XFS_I(node);
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(pos);
	const xfs_fileoff_t end_fsb = XFS_B_TO_FSB(pos + static_cast<loff_t>(length));
	std::size_t cursor;
	xfs_bmbt_irec imap;
	xfs_ilock_shared(ip);
	if (!xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &imap))
		imap.br_startoff = end_fsb;
	const std::uint64_t cookie = xfs_iomap_inode_sequence(ip, 0);
	xfs_iunlock_shared(ip);
	if (imap.br_startoff > fsb) {
		xfs_hole_to_iomap(map, fsb, std::min(imap.br_startoff, end_fsb));
		return 0;
	}
	xfs_trim_extent(&imap, fsb, end_fsb - fsb);
	xfs_bmbt_to_iomap(map, &imap, 0, cookie);
	return 0;
}

/* Folio lock held, no ILOCK: nothing but the counter is looked at. A hole is not initialised from. */
bool xfs_iomap_valid(inode *node, const iomap *map)
{
	FRAME(xfs_iomap_valid);
	return map->type == iomap_type::HOLE ||
	       map->validity_cookie == xfs_iomap_inode_sequence(XFS_I(node), map->flags);
}

} // namespace

std::uint64_t xfs_iomap_inode_sequence(const xfs_inode *ip, unsigned)
{
	FRAME(xfs_iomap_inode_sequence);
	return READ_ONCE(ip->i_df.if_seq);
}

void xfs_bmbt_to_iomap(iomap *map, const xfs_bmbt_irec *imap, unsigned flags, std::uint64_t cookie)
{
	folio_batch *const fbatch = map->fbatch;
	*map = {};
	map->fbatch = fbatch;
	map->type = imap->kind == block_kind::DELALLOC	? iomap_type::DELALLOC
		    : imap->kind == block_kind::WRITTEN ? iomap_type::MAPPED
							: iomap_type::UNWRITTEN;
	map->flags = flags;
	map->offset = XFS_FSB_TO_B(imap->br_startoff);
	map->length = static_cast<std::uint64_t>(XFS_FSB_TO_B(imap->br_blockcount));
	map->addr = imap->br_startblock;
	map->validity_cookie = cookie;
}

const iomap_ops xfs_buffered_write_iomap_ops = {
	.iomap_begin = xfs_buffered_write_iomap_begin,
	.iomap_end = xfs_buffered_write_iomap_end,
	.iomap_valid = xfs_iomap_valid,
};

const iomap_ops xfs_page_mkwrite_iomap_ops = {
	.iomap_begin = xfs_buffered_write_iomap_begin,
	.iomap_end = xfs_page_mkwrite_iomap_end,
	.iomap_valid = xfs_iomap_valid,
};

const iomap_ops xfs_read_iomap_ops = {
	.iomap_begin = xfs_read_iomap_begin,
	.iomap_end = nullptr,
	.iomap_valid = nullptr,
};

} // namespace kernel
