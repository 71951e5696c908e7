// SPDX-License-Identifier: GPL-2.0-only
// The extents of a file (fs/xfs/libxfs/xfs_bmap.c, xfs_iext_tree.c and xfs_bmap_util.c of 6.12). The
// tree is a vector here.
//
// if_seq is counted up with every change, under ILOCK, so that who looked extents up can tell later
// and without ILOCK that they may be different now.
//
// Lock order: ILOCK -> alloc_lock.
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

bool isnullstartblock(const xfs_bmbt_irec &rec)
{
	return rec.kind == block_kind::DELALLOC;
}

void xfs_iext_inc_seq(xfs_inode *ip, xfs_fork whichfork)
{
	xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	ifp->if_seq.write_once(ifp->if_seq.peek() + 1);
	/* Who has no ILOCK asks whether there is anything. */
	if (whichfork == XFS_COW_FORK)
		ifp->if_bytes.store(ifp->extents.size());
}

/* ---- space: alloc_lock ---- */

bool reserve_space(super_block *sb, std::uint64_t blocks)
{
	sb->alloc_lock.lock();
	const bool there =
		sb->next_block + sb->delayed_blocks + blocks <= this_machine().geo.disk_blocks;
	if (there)
		sb->delayed_blocks += blocks;
	sb->alloc_lock.unlock();
	return there;
}

void return_space(super_block *sb, std::uint64_t blocks)
{
	sb->alloc_lock.lock();
	sb->delayed_blocks -= blocks;
	sb->alloc_lock.unlock();
}

/* The first of so many free blocks side by side, or BLOCK_HOLE. `reserved` of them were. */
std::uint64_t allocate_blocks(super_block *sb, std::uint64_t blocks, std::uint64_t reserved)
{
	std::uint64_t first = BLOCK_HOLE;
	sb->alloc_lock.lock();
	const std::uint64_t others = sb->delayed_blocks - reserved;
	if (sb->next_block + others + blocks <= this_machine().geo.disk_blocks) {
		first = sb->next_block;
		sb->next_block += blocks;
		sb->delayed_blocks = others;
	}
	sb->alloc_lock.unlock();
	return first;
}

/* ---- the vector ---- */

bool can_merge(const xfs_bmbt_irec &left, const xfs_bmbt_irec &right)
{
	return left.kind == right.kind && left.end() == right.br_startoff &&
	       (isnullstartblock(left) ||
		left.br_startblock + left.br_blockcount == right.br_startblock);
}

/* Puts an extent where a hole is, and joins it with its neighbours. Returns where it is. */
std::size_t insert_extent(xfs_ifork *ifp, const xfs_bmbt_irec &rec)
{
	std::vector<xfs_bmbt_irec> &all = ifp->extents;
	auto at = std::find_if(all.begin(), all.end(), [&](const xfs_bmbt_irec &each) {
		return each.br_startoff >= rec.end();
	});
	at = all.insert(at, rec);
	if (at + 1 != all.end() && can_merge(*at, at[1])) {
		at->br_blockcount += at[1].br_blockcount;
		all.erase(at + 1);
	}
	if (at != all.begin() && can_merge(at[-1], *at)) {
		at[-1].br_blockcount += at->br_blockcount;
		at = all.erase(at) - 1;
	}
	return static_cast<std::size_t>(at - all.begin());
}

/* Takes blocks that are part of one extent out; what is left of it stays. */
void remove_part(xfs_ifork *ifp, std::size_t cursor, const xfs_bmbt_irec &del)
{
	const xfs_bmbt_irec whole = ifp->extents[cursor];
	ifp->extents.erase(ifp->extents.begin() + static_cast<std::ptrdiff_t>(cursor));
	xfs_bmbt_irec right = whole;
	xfs_trim_extent(&right, del.end(), whole.end() - del.end());
	xfs_bmbt_irec left = whole;
	xfs_trim_extent(&left, whole.br_startoff, del.br_startoff - whole.br_startoff);
	for (const xfs_bmbt_irec &rest : { right, left }) {
		if (rest.br_blockcount != 0)
			ifp->extents.insert(
				ifp->extents.begin() + static_cast<std::ptrdiff_t>(cursor), rest);
	}
}

void xfs_bmap_del_extent_delay(xfs_inode *ip, xfs_fork whichfork, std::size_t cursor,
			       const xfs_bmbt_irec &del)
{
	remove_part(xfs_ifork_ptr(ip, whichfork), cursor, del);
	xfs_iext_inc_seq(ip, whichfork);
	ip->i_delayed_blks -= del.br_blockcount;
	return_space(ip->i_sb, del.br_blockcount);
}

/*
 * The last extent that has a block before *end; *end becomes where it ends, if that is before. False:
 * there is none.
 */
bool xfs_iext_lookup_extent_before(const xfs_ifork *ifp, xfs_fileoff_t *end, std::size_t *cursor,
				   xfs_bmbt_irec *got)
{
	if (xfs_iext_lookup_extent(ifp, *end - 1, cursor, got) && got->br_startoff <= *end - 1)
		return true;
	if (*cursor == 0)
		return false;
	*got = ifp->extents[--*cursor];
	*end = got->end();
	return true;
}

/* The DELALLOC extent at the cursor gets blocks. 0, -ENOSPC. */
int xfs_bmapi_allocate(xfs_inode *ip, xfs_fork whichfork, std::size_t cursor)
{
	FRAME(xfs_bmapi_allocate);
	xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	if (should_fail("space"))
		return -ENOSPC;
	xfs_bmbt_irec rec = ifp->extents[cursor];
	rec.br_startblock = allocate_blocks(ip->i_sb, rec.br_blockcount, rec.br_blockcount);
	if (rec.br_startblock == BLOCK_HOLE)
		return -ENOSPC;
	rec.kind = block_kind::UNWRITTEN;
	ip->i_delayed_blks -= rec.br_blockcount;
	remove_part(ifp, cursor, rec);
	insert_extent(ifp, rec);
	xfs_iext_inc_seq(ip, whichfork);
	return 0;
}

int xfs_bmapi_convert_one_delalloc(xfs_inode *ip, xfs_fork whichfork, loff_t offset, iomap *map,
				   std::uint32_t *seq)
{
	FRAME(xfs_bmapi_convert_one_delalloc);
	const xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	const unsigned flags = whichfork == XFS_COW_FORK ? unsigned{ IOMAP_F_SHARED } : 0;
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(offset);
	std::size_t cursor;
	xfs_bmbt_irec got;
	int error = 0;
	xfs_ilock(ip);
	const bool there =
		xfs_iext_lookup_extent(ifp, fsb, &cursor, &got) && got.br_startoff <= fsb;
	/* Of the COW fork it may have been remapped meanwhile, or cancelled. */
	VM_WARN_ON_ONCE(!there && whichfork != XFS_COW_FORK);
	if (!there) {
		xfs_iunlock(ip);
		return -EAGAIN;
	}
	/* Else somebody else has converted it meanwhile. */
	if (isnullstartblock(got)) {
		error = xfs_bmapi_allocate(ip, whichfork, cursor);
		xfs_iext_lookup_extent(ifp, fsb, &cursor, &got);
	}
	if (error == 0) {
		xfs_bmbt_to_iomap(map, &got, flags, xfs_iomap_inode_sequence(ip, flags));
		*seq = ifp->if_seq.peek();
		xfs_trans_commit(ip);
	}
	xfs_iunlock(ip);
	return error;
}

} // namespace

void xfs_trim_extent(xfs_bmbt_irec *rec, xfs_fileoff_t start, std::uint64_t len)
{
	const xfs_fileoff_t first = std::max(rec->br_startoff, start);
	const xfs_fileoff_t last = std::min(rec->end(), start + len);
	if (first >= last) {
		rec->br_blockcount = 0;
		return;
	}
	if (!isnullstartblock(*rec))
		rec->br_startblock += first - rec->br_startoff;
	rec->br_startoff = first;
	rec->br_blockcount = last - first;
}

bool xfs_iext_lookup_extent(const xfs_ifork *ifp, xfs_fileoff_t fsb, std::size_t *cursor,
			    xfs_bmbt_irec *got)
{
	const std::vector<xfs_bmbt_irec> &all = ifp->extents;
	std::size_t at = 0;
	while (at < all.size() && all[at].end() <= fsb)
		at++;
	*cursor = at;
	if (at == all.size())
		return false;
	*got = all[at];
	return true;
}

/*
 * A reservation of the COW fork is made larger, to whole units of cowextsize, as far as the fork has room,
 * so that blocks beside each other are copied to blocks beside each other.
 */
static void xfs_bmap_extsize_align(const xfs_ifork *ifp, xfs_fileoff_t *start, xfs_fileoff_t *end)
{
	xfs_fileoff_t first = *start / kCowExtentBlocks * kCowExtentBlocks;
	xfs_fileoff_t last = (*end + kCowExtentBlocks - 1) / kCowExtentBlocks * kCowExtentBlocks;
	for (const xfs_bmbt_irec &each : ifp->extents) {
		if (each.end() <= *start)
			first = std::max(first, each.end());
		else
			last = std::min(last, each.br_startoff);
	}
	*start = first;
	*end = last;
}

int xfs_bmapi_reserve_delalloc(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb,
			       std::uint64_t len, std::uint64_t prealloc, xfs_bmbt_irec *got)
{
	FRAME(xfs_bmapi_reserve_delalloc);
	xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	std::size_t cursor;
	xfs_bmbt_irec next;
	xfs_fileoff_t start = fsb;
	xfs_fileoff_t end = fsb + len + prealloc;
	if (xfs_iext_lookup_extent(ifp, fsb, &cursor, &next))
		end = std::min(end, next.br_startoff);
	if (whichfork == XFS_COW_FORK && !patched(Patch::kZoned))
		xfs_bmap_extsize_align(ifp, &start, &end);
	const std::uint64_t count = end - start;
	if (should_fail("space") || !reserve_space(ip->i_sb, count))
		return -ENOSPC;
	*got = { .br_startoff = start, .br_blockcount = count, .kind = block_kind::DELALLOC };
	insert_extent(ifp, *got);
	xfs_iext_inc_seq(ip, whichfork);
	ip->i_delayed_blks += count;
	if (whichfork == XFS_COW_FORK && (prealloc != 0 || start < fsb || count > len))
		ip->i_cowblocks = true;
	return 0;
}

void xfs_bmap_punch_delalloc_range(xfs_inode *ip, xfs_fork whichfork, loff_t start_byte,
				   loff_t end_byte)
{
	FRAME(xfs_bmap_punch_delalloc_range);
	const xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	const xfs_fileoff_t start = XFS_B_TO_FSBT(start_byte);
	xfs_fileoff_t end = XFS_B_TO_FSB(end_byte);
	std::size_t cursor;
	xfs_bmbt_irec got;
	xfs_ilock(ip);
	bool there = xfs_iext_lookup_extent_before(ifp, &end, &cursor, &got);
	while (there && got.end() > start) {
		xfs_bmbt_irec del = got;
		xfs_trim_extent(&del, start, end - start);
		if (del.br_blockcount != 0 && isnullstartblock(del))
			xfs_bmap_del_extent_delay(ip, whichfork, cursor, del);
		there = cursor != 0;
		if (there)
			got = ifp->extents[--cursor];
	}
	xfs_iunlock(ip);
}

int xfs_bmapi_convert_delalloc(xfs_inode *ip, xfs_fork whichfork, loff_t offset, iomap *map,
			       std::uint32_t *seq)
{
	FRAME(xfs_bmapi_convert_delalloc);
	return xfs_bmapi_convert_one_delalloc(ip, whichfork, offset, map, seq);
}

void xfs_bmapi_convert_unwritten(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb,
				 std::uint64_t len)
{
	FRAME(xfs_bmapi_convert_unwritten);
	xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	for (std::size_t at = 0; at < ifp->extents.size(); at++) {
		xfs_bmbt_irec part = ifp->extents[at];
		xfs_trim_extent(&part, fsb, len);
		if (part.br_blockcount == 0 || part.kind != block_kind::UNWRITTEN)
			continue;
		remove_part(ifp, at, part);
		part.kind = block_kind::WRITTEN;
		at = insert_extent(ifp, part);
		xfs_iext_inc_seq(ip, whichfork);
	}
}

void xfs_bunmapi(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb, std::uint64_t len)
{
	xfs_ifork *ifp = xfs_ifork_ptr(ip, whichfork);
	for (std::size_t at = ifp->extents.size(); at-- > 0;) {
		xfs_bmbt_irec part = ifp->extents[at];
		xfs_trim_extent(&part, fsb, len);
		if (part.br_blockcount == 0)
			continue;
		if (isnullstartblock(part)) {
			xfs_bmap_del_extent_delay(ip, whichfork, at, part);
		} else {
			remove_part(ifp, at, part);
			xfs_iext_inc_seq(ip, whichfork);
			if (whichfork == XFS_COW_FORK)
				continue;
			if (ip->is_reflink.peek())
				xfs_refcount_decrease_extent(ip->i_sb, part);
			else
				ip->i_sb->freed_blocks += part.br_blockcount;
		}
	}
}

int xfs_bmapi_write(xfs_inode *ip, xfs_fileoff_t fsb, std::uint64_t len)
{
	FRAME(xfs_bmapi_write);
	const xfs_fileoff_t end = fsb + len;
	while (fsb < end) {
		std::size_t cursor;
		xfs_bmbt_irec next;
		std::uint64_t count = end - fsb;
		if (xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &next)) {
			if (next.br_startoff <= fsb) {
				const int error =
					isnullstartblock(next)
						? xfs_bmapi_allocate(ip, XFS_DATA_FORK, cursor)
						: 0;
				if (error != 0)
					return error;
				fsb = next.end();
				continue;
			}
			count = std::min(count, next.br_startoff - fsb);
		}
		const std::uint64_t first = xfs_alloc_blocks(ip->i_sb, count);
		if (first == BLOCK_HOLE)
			return -ENOSPC;
		insert_extent(&ip->i_df, { .br_startoff = fsb,
					   .br_blockcount = count,
					   .kind = block_kind::UNWRITTEN,
					   .br_startblock = first });
		xfs_iext_inc_seq(ip, XFS_DATA_FORK);
		fsb += count;
	}
	return 0;
}

void xfs_bmap_shift(xfs_inode *ip, xfs_fileoff_t fsb, long blocks)
{
	FRAME(xfs_bmap_shift);
	const std::vector<xfs_bmbt_irec> before = std::exchange(ip->i_df.extents, {});
	for (const xfs_bmbt_irec &rec : before) {
		xfs_bmbt_irec stays = rec;
		xfs_trim_extent(&stays, 0, fsb);
		xfs_bmbt_irec moves = rec;
		xfs_trim_extent(&moves, fsb, ~std::uint64_t{ 0 } - fsb);
		moves.br_startoff += static_cast<std::uint64_t>(blocks);
		for (const xfs_bmbt_irec &part : { stays, moves }) {
			if (part.br_blockcount != 0)
				insert_extent(&ip->i_df, part);
		}
	}
	xfs_iext_inc_seq(ip, XFS_DATA_FORK);
}

void xfs_bmap_map_extent(xfs_inode *ip, const xfs_bmbt_irec &rec)
{
	insert_extent(&ip->i_df, rec);
	xfs_iext_inc_seq(ip, XFS_DATA_FORK);
}

std::uint64_t xfs_alloc_blocks(super_block *sb, std::uint64_t blocks)
{
	return should_fail("space") ? BLOCK_HOLE : allocate_blocks(sb, blocks, 0);
}

void xfs_map_block(inode *node, std::uint64_t index, std::uint64_t block)
{
	insert_extent(&XFS_I(node)->i_df, { .br_startoff = index,
					    .br_blockcount = 1,
					    .kind = block_kind::WRITTEN,
					    .br_startblock = block });
}

} // namespace kernel
