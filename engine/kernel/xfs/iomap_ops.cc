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
std::uint64_t xfs_iomap_prealloc_size(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb,
				      loff_t end)
{
	FRAME(xfs_iomap_prealloc_size);
	const xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	const std::uint64_t smallest = XFS_B_TO_FSB(1 << 16);
	const loff_t size = i_size_read(ip);
	if (end <= size || size < XFS_FSB_TO_B(smallest))
		return 0;
	const std::vector<xfs_bmbt_irec> &all = ifp->extents;
	std::size_t cursor;
	xfs_bmbt_irec got;
	xfs_iext_lookup_extent(ifp, fsb, &cursor, &got);
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

/* Reserves the blocks from fsb up to end_fsb, which the fork has not. ILOCK held. 0, -ENOSPC. */
int reserve(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb, xfs_fileoff_t end_fsb, loff_t end,
	    bool at_eof, xfs_bmbt_irec *got)
{
	std::uint64_t prealloc = 0;
	if (at_eof && end > i_size_read(ip))
		prealloc = xfs_iomap_prealloc_size(ip, whichfork, fsb, end);
	int error = xfs_bmapi_reserve_delalloc(ip, whichfork, fsb, end_fsb - fsb, prealloc, got);
	if (error == 0 && whichfork == XFS_DATA_FORK)
		ip->i_eofblocks = ip->i_eofblocks || prealloc != 0;
	else if (error == -ENOSPC && prealloc != 0)
		error = xfs_bmapi_reserve_delalloc(ip, whichfork, fsb, end_fsb - fsb, 0, got);
	return error;
}

/* The extent of the COW fork that has the block. False: there is none. ILOCK held. */
bool lookup_cow(const xfs_inode *ip, xfs_fileoff_t fsb, xfs_bmbt_irec *cmap)
{
	std::size_t cursor;
	return ip->is_reflink.peek() && xfs_iext_lookup_extent(&ip->i_cow, fsb, &cursor, cmap) &&
	       cmap->br_startoff <= fsb;
}

/*
 * The write goes to the COW fork. What is there already, if anything, is in the data fork: that is the
 * source. ILOCK held.
 */
void found_cow(const xfs_inode *ip, xfs_fileoff_t fsb, const xfs_bmbt_irec &imap,
	       xfs_bmbt_irec cmap, unsigned flags, iomap *map, iomap *srcmap)
{
	const bool has_source = imap.br_startoff <= fsb;
	if (has_source)
		xfs_bmbt_to_iomap(srcmap, &imap, 0, xfs_iomap_inode_sequence(ip, 0));
	else
		xfs_trim_extent(&cmap, fsb, imap.br_startoff - fsb);
	if (has_source || patched(Patch::kCowMappingsShared))
		flags |= IOMAP_F_SHARED;
	xfs_bmbt_to_iomap(map, &cmap, flags, xfs_iomap_inode_sequence(ip, flags));
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
	return xfs_bmapi_convert_delalloc(ip, XFS_DATA_FORK, pos, map, &seq);
}

/*
 * Nothing is to be zeroed in a hole, unless dirty folios are on their way to a COW fork in front of it:
 * then these folios are the batch, and *cmap is what is to be zeroed. Else the hole. ILOCK held.
 */
bool cow_before_hole(xfs_inode *ip, loff_t pos, loff_t end, xfs_fileoff_t hole_end, iomap *map,
		     xfs_bmbt_irec *cmap)
{
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(pos);
	if (!patched(Patch::kZeroRangeNoHoleFlush) || !lookup_cow(ip, fsb, cmap))
		return false;
	const xfs_fileoff_t end_fsb = std::min({ XFS_B_TO_FSB(end), hole_end, cmap->end() });
	const loff_t looked = iomap_fill_dirty_folios(ip, pos, XFS_FSB_TO_B(end_fsb), map);
	xfs_trim_extent(cmap, fsb, std::min(end_fsb, XFS_B_TO_FSB(looked)) - fsb);
	return map->fbatch == nullptr || map->fbatch->nr != 0;
}

/* ILOCK held. Where the bytes are, or else a reservation for them. */
int begin_locked(xfs_inode *ip, loff_t pos, std::uint64_t length, unsigned flags, iomap *map,
		 iomap *srcmap, bool *converts)
{
	const loff_t end = pos + static_cast<loff_t>(length);
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(pos);
	xfs_fileoff_t end_fsb = XFS_B_TO_FSB(end);
	std::size_t cursor;
	xfs_bmbt_irec imap;
	xfs_bmbt_irec cmap;
	const bool eof = !xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &imap);
	if (eof)
		imap.br_startoff = end_fsb;
	const bool hole = imap.br_startoff > fsb;
	const bool zeroes = (flags & IOMAP_ZERO) != 0;
	if (hole && (flags & (IOMAP_ZERO | IOMAP_UNSHARE)) != 0) {
		if (zeroes && cow_before_hole(ip, pos, end, imap.br_startoff, map, &cmap))
			found_cow(ip, fsb, imap, cmap, map->flags, map, srcmap);
		else
			xfs_hole_to_iomap(map, fsb, imap.br_startoff);
		return 0;
	}
	if (zeroes) {
		begin_of_zeroing(ip, pos, end, &imap, map, converts);
		if (*converts)
			return 0;
	}
	unsigned map_flags = map->flags;
	if (lookup_cow(ip, fsb, &cmap)) {
		found_cow(ip, fsb, imap, cmap, map_flags, map, srcmap);
		return 0;
	}
	bool shared = false;
	if (!hole && ip->is_reflink.peek() && !(zeroes && imap.kind == block_kind::UNWRITTEN)) {
		xfs_trim_extent(&imap, fsb, end_fsb - fsb);
		shared = xfs_reflink_trim_around_shared(ip, &imap);
	}
	if (shared) {
		const int error = reserve(ip, XFS_COW_FORK, fsb, imap.end(), end, eof, &cmap);
		if (patched(Patch::kPunchCowFork))
			map_flags |= IOMAP_F_NEW;
		if (error == 0)
			found_cow(ip, fsb, imap, cmap, map_flags, map, srcmap);
		return error;
	}
	if (hole) {
		const int error = reserve(ip, XFS_DATA_FORK, fsb, end_fsb, end, eof, &imap);
		if (error != 0)
			return error;
		map_flags = IOMAP_F_NEW;
	}
	xfs_bmbt_to_iomap(map, &imap, map_flags, xfs_iomap_inode_sequence(ip, map_flags));
	return 0;
}

/* For write(), page faults, zeroing and unsharing. */
int xfs_buffered_write_iomap_begin(inode *node, loff_t pos, std::uint64_t length, unsigned flags,
				   iomap *map, iomap *srcmap)
{
	FRAME(xfs_buffered_write_iomap_begin);
	xfs_inode *ip = XFS_I(node);
	/* No more than so much at a time. */
	length = std::min<std::uint64_t>(length, std::uint64_t{ 1024 } * page_size());
	if (patched(Patch::kZoned))
		return xfs_zoned_buffered_write_iomap_begin(node, pos, length, flags, map, srcmap);
	bool converts = false;
	xfs_ilock(ip);
	const int error = begin_locked(ip, pos, length, flags, map, srcmap, &converts);
	xfs_iunlock(ip);
	return converts ? convert_delay(ip, pos, map) : error;
}

/* Of the fork that the reservation is in. */
void xfs_buffered_write_delalloc_punch(inode *node, loff_t offset, loff_t length, const iomap *map)
{
	const bool cow = (map->flags & IOMAP_F_SHARED) != 0 && patched(Patch::kPunchCowFork);
	xfs_bmap_punch_delalloc_range(XFS_I(node), cow ? XFS_COW_FORK : XFS_DATA_FORK, offset,
				      offset + length);
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
	xfs_bmap_punch_delalloc_range(XFS_I(node), XFS_DATA_FORK, start, end);
	if (locks)
		filemap_invalidate_unlock(node->i_mapping);
}

int xfs_buffered_write_iomap_end(inode *node, loff_t pos, std::uint64_t length, long written,
				 unsigned flags, iomap *map)
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
	/* Who zeroes or unshares holds the lock already. */
	const bool held =
		(flags & (IOMAP_ZERO | IOMAP_UNSHARE)) != 0 && patched(Patch::kZeroUnshareHoldLock);
	VM_WARN_ON_ONCE(held && !node->i_mapping->invalidate_lock.held_for_write_by_me());
	if (!held)
		filemap_invalidate_lock(node->i_mapping);
	iomap_write_delalloc_release(node, start, end, map, xfs_buffered_write_delalloc_punch);
	if (!held)
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

int xfs_read_iomap_begin(inode *node, loff_t pos, std::uint64_t length, unsigned, iomap *map,
			 iomap *)
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

/*
 * For SEEK_HOLE and SEEK_DATA. A hole with a COW fork in front of it may have data in the page cache:
 * as if it were unwritten.
 */
int xfs_seek_iomap_begin(inode *node, loff_t pos, std::uint64_t length, unsigned, iomap *map,
			 iomap *)
{
	FRAME(xfs_seek_iomap_begin);
	xfs_inode *ip = XFS_I(node);
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(pos);
	xfs_fileoff_t end_fsb = XFS_B_TO_FSB(pos + static_cast<loff_t>(length));
	std::size_t cursor;
	xfs_bmbt_irec imap;
	xfs_bmbt_irec cmap;
	xfs_ilock_shared(ip);
	if (xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &imap) && imap.br_startoff <= fsb) {
		xfs_trim_extent(&imap, fsb, end_fsb - fsb);
		xfs_bmbt_to_iomap(map, &imap, 0, xfs_iomap_inode_sequence(ip, 0));
		xfs_iunlock_shared(ip);
		return 0;
	}
	if (cursor < ip->i_df.extents.size())
		end_fsb = std::min(end_fsb, imap.br_startoff);
	const bool cow = xfs_inode_has_cow_data(ip) &&
			 xfs_iext_lookup_extent(&ip->i_cow, fsb, &cursor, &cmap);
	if (cow && cmap.br_startoff <= fsb) {
		xfs_trim_extent(&cmap, fsb, end_fsb - fsb);
		xfs_bmbt_to_iomap(map, &cmap, IOMAP_F_SHARED,
				  xfs_iomap_inode_sequence(ip, IOMAP_F_SHARED));
		map->type = iomap_type::UNWRITTEN;
	} else {
		if (cow)
			end_fsb = std::min(end_fsb, cmap.br_startoff);
		xfs_hole_to_iomap(map, fsb, end_fsb);
	}
	xfs_iunlock_shared(ip);
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

/* Both forks' counters for a copy in the COW fork. */
std::uint64_t xfs_iomap_inode_sequence(const xfs_inode *ip, unsigned iomap_flags)
{
	FRAME(xfs_iomap_inode_sequence);
	std::uint64_t cookie = 0;
	if ((iomap_flags & IOMAP_F_SHARED) != 0)
		cookie = std::uint64_t{ READ_ONCE(ip->i_cow.if_seq) } << 32;
	return cookie | READ_ONCE(ip->i_df.if_seq);
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

const iomap_ops xfs_seek_iomap_ops = {
	.iomap_begin = xfs_seek_iomap_begin,
	.iomap_end = nullptr,
	.iomap_valid = nullptr,
};

const iomap_ops xfs_read_iomap_ops = {
	.iomap_begin = xfs_read_iomap_begin,
	.iomap_end = nullptr,
	.iomap_valid = nullptr,
};

} // namespace kernel
