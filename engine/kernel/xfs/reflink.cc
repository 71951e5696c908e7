// SPDX-License-Identifier: GPL-2.0-only
// Files that share blocks (fs/xfs/xfs_reflink.c and xfs_refcount.c of 6.12). A block that is shared
// is never written in place: its copy is reserved in the COW fork, written there, and takes the
// place of the shared one in the data fork when it is on the disk.
//
//   write       reserves in the COW fork          DELALLOC there, the data fork stays
//   writeback   allocates, and writes             UNWRITTEN there, then WRITTEN
//   its end     unmaps the data fork's blocks, maps those of the COW fork, under one ILOCK
//
// A reservation is made larger to whole units of cowextsize, so that the COW fork also stands before
// blocks that are not shared, and before holes.
//
// Left out: the trees of reference counts (a map of the blocks that several extents have), orphans
// of the COW fork after a crash, the background trimming of unused copies, deduplication, readers beside
// a remap (6.7), real time.
//
// Lock order: i_rwsem of both files, by inode number -> invalidate_lock of both -> folio lock ->
// ILOCK -> alloc_lock.
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr std::uint64_t kToTheEnd = ~std::uint64_t{ 0 } / 2;

/* What the fork has at fsb, up to `len` blocks; HOLE included. */
xfs_bmbt_irec xfs_bmapi_read(const xfs_ifork *ifp, xfs_fileoff_t fsb, std::uint64_t len)
{
	std::size_t cursor;
	xfs_bmbt_irec got;
	const bool there = xfs_iext_lookup_extent(ifp, fsb, &cursor, &got);
	if (there && got.br_startoff <= fsb) {
		xfs_trim_extent(&got, fsb, len);
		return got;
	}
	if (there)
		len = std::min(len, got.br_startoff - fsb);
	return { .br_startoff = fsb, .br_blockcount = len };
}

/*
 * The first extent of the COW fork that is written and has blocks of [*fsb, end) becomes the file's.
 * *fsb moves behind it, or to end: there is none.
 */
void xfs_reflink_end_cow_extent(xfs_inode *ip, xfs_fileoff_t *fsb, xfs_fileoff_t end)
{
	FRAME(xfs_reflink_end_cow_extent);
	std::size_t cursor;
	xfs_bmbt_irec del;
	xfs_ilock(ip);
	xfs_fileoff_t from = *fsb;
	bool there = xfs_iext_lookup_extent(&ip->i_cow, from, &cursor, &del);
	/* What was allocated in advance beside it is not written. */
	while (there && del.br_startoff < end && del.kind != block_kind::WRITTEN)
		there = xfs_iext_lookup_extent(&ip->i_cow, del.end(), &cursor, &del);
	if (!there || del.br_startoff >= end) {
		*fsb = end;
		xfs_iunlock(ip);
		return;
	}
	from = std::max(from, del.br_startoff);
	xfs_trim_extent(&del, from, end - from);
	/* No more than the data fork has in one piece. */
	const xfs_bmbt_irec data = xfs_bmapi_read(&ip->i_df, del.br_startoff, del.br_blockcount);
	xfs_trim_extent(&del, data.br_startoff, data.br_blockcount);
	xfs_bunmapi(ip, XFS_DATA_FORK, del.br_startoff, del.br_blockcount);
	xfs_bunmapi(ip, XFS_COW_FORK, del.br_startoff, del.br_blockcount);
	xfs_bmap_map_extent(ip, del);
	xfs_trans_commit(ip);
	*fsb = del.end();
	xfs_iunlock(ip);
}

/* ILOCK held. */
bool xfs_reflink_inode_has_shared_extents(const xfs_inode *ip)
{
	FRAME(xfs_reflink_inode_has_shared_extents);
	for (const xfs_bmbt_irec &rec : ip->i_df.extents) {
		xfs_bmbt_irec rest = rec;
		while (rest.br_blockcount != 0) {
			xfs_bmbt_irec part = rest;
			if (xfs_reflink_trim_around_shared(ip, &part))
				return true;
			xfs_trim_extent(&rest, part.end(), rest.end() - part.end());
		}
	}
	return false;
}

/* May the COW fork go, since nothing is on its way there? i_rwsem and invalidate_lock held. */
bool xfs_can_free_cowblocks(xfs_inode *ip)
{
	FRAME(xfs_can_free_cowblocks);
	address_space *mapping = ip->i_mapping;
	return !ip->i_state.test(I_DIRTY_PAGES) &&
	       !xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY) &&
	       !xa_marked(&mapping->i_pages, PAGECACHE_TAG_WRITEBACK);
}

/* The file may be an ordinary one again, if it shares nothing. */
void xfs_reflink_try_clear_inode_flag(xfs_inode *ip)
{
	FRAME(xfs_reflink_try_clear_inode_flag);
	xfs_ilock(ip);
	if (!xfs_reflink_inode_has_shared_extents(ip) &&
	    (!patched(Patch::kCowPurgeChecksDirty) || xfs_can_free_cowblocks(ip))) {
		xfs_reflink_cancel_cow_blocks(ip, 0, kToTheEnd);
		ip->is_reflink.store(false);
		xfs_trans_commit(ip);
	}
	xfs_iunlock(ip);
}

/* ---- sharing ---- */

void lock_two(inode *a, inode *b)
{
	if (a->i_ino > b->i_ino)
		std::swap(a, b);
	inode_lock(a);
	if (a != b)
		inode_lock(b);
	filemap_invalidate_lock(a->i_mapping);
	if (a != b)
		filemap_invalidate_lock(b->i_mapping);
}

void unlock_two(inode *a, inode *b)
{
	filemap_invalidate_unlock(a->i_mapping);
	if (a != b)
		filemap_invalidate_unlock(b->i_mapping);
	inode_unlock(a);
	if (a != b)
		inode_unlock(b);
}

/* Whole blocks, but for the end of the source. *len becomes what is to be shared. 0, -EINVAL. */
int generic_remap_checks(const inode *in, loff_t in_pos, const inode *out, loff_t out_pos,
			 loff_t *len)
{
	FRAME(generic_remap_checks);
	const loff_t block = this_machine().geo.block_size;
	const loff_t in_size = i_size_read(in);
	if (*len == 0)
		*len = in_size - in_pos;
	if ((in_pos | out_pos) % block != 0 || *len < 0 || in_pos + *len > in_size ||
	    (in_pos >= in_size && *len != 0))
		return -EINVAL;
	loff_t whole = *len;
	if (in_pos + *len == in_size)
		whole = (*len + block - 1) / block * block;
	else if (*len % block != 0)
		return -EINVAL;
	/* A part of the last block would take what the other file has behind it. */
	if (*len % block != 0 && out_pos + *len < i_size_read(out))
		return -EINVAL;
	if (in == out && out_pos + whole > in_pos && out_pos < in_pos + whole)
		return -EINVAL;
	return 0;
}

/* Both files are on the disk as in the cache, and the cache has nothing of where the blocks go. */
int xfs_reflink_remap_prep(xfs_inode *src, loff_t in_pos, xfs_inode *dest, loff_t out_pos,
			   loff_t *len)
{
	FRAME(xfs_reflink_remap_prep);
	int error = generic_remap_checks(src, in_pos, dest, out_pos, len);
	if (error != 0 || *len == 0)
		return error;
	error = filemap_write_and_wait_range(src->i_mapping, in_pos, in_pos + *len - 1);
	if (error == 0)
		error = filemap_write_and_wait_range(dest->i_mapping, out_pos, out_pos + *len - 1);
	const loff_t size = i_size_read(dest);
	if (error == 0 && out_pos > size)
		error = xfs_zero_range(dest, size, out_pos - size, nullptr);
	if (error != 0)
		return error;
	for (xfs_inode *ip : { src, dest }) {
		if (ip->is_reflink.peek())
			continue;
		xfs_ilock(ip);
		ip->is_reflink.store(true);
		xfs_trans_commit(ip);
		xfs_iunlock(ip);
	}
	/* Zeroing may have made the file longer: then that is not flushed. */
	const loff_t from = std::min(out_pos, i_size_read(dest));
	return xfs_flush_unmap_range(dest, from, out_pos + *len - from);
}

/* These blocks of another place become the file's. HOLE and UNWRITTEN: there are none then. */
void xfs_reflink_remap_extent(xfs_inode *ip, const xfs_bmbt_irec &dmap, loff_t new_size)
{
	FRAME(xfs_reflink_remap_extent);
	xfs_ilock(ip);
	xfs_bunmapi(ip, XFS_DATA_FORK, dmap.br_startoff, dmap.br_blockcount);
	if (dmap.kind == block_kind::WRITTEN) {
		xfs_refcount_increase_extent(ip->i_sb, dmap);
		xfs_bmap_map_extent(ip, dmap);
	}
	const loff_t end = std::min(XFS_FSB_TO_B(dmap.end()), new_size);
	if (end > i_size_read(ip)) {
		i_size_write(ip, end);
		ip->i_disksize.store(end);
	}
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
}

/* An extent after the other, each in a transaction of its own. */
void xfs_reflink_remap_blocks(xfs_inode *src, loff_t in_pos, xfs_inode *dest, loff_t out_pos,
			      loff_t len)
{
	FRAME(xfs_reflink_remap_blocks);
	xfs_fileoff_t from = XFS_B_TO_FSBT(in_pos);
	xfs_fileoff_t to = XFS_B_TO_FSBT(out_pos);
	std::uint64_t left = XFS_B_TO_FSB(len);
	while (left != 0) {
		xfs_ilock_shared(src);
		xfs_bmbt_irec imap = xfs_bmapi_read(&src->i_df, from, left);
		xfs_iunlock_shared(src);
		from += imap.br_blockcount;
		left -= imap.br_blockcount;
		imap.br_startoff = to;
		to += imap.br_blockcount;
		xfs_reflink_remap_extent(dest, imap, out_pos + len);
	}
}

} // namespace

bool xfs_inode_has_cow_data(const xfs_inode *ip)
{
	return (ip->is_reflink.look() || patched(Patch::kZoned)) && ip->i_cow.if_bytes.load() != 0;
}

void xfs_refcount_increase_extent(super_block *sb, const xfs_bmbt_irec &rec)
{
	sb->alloc_lock.lock();
	for (std::uint64_t i = 0; i < rec.br_blockcount; i++)
		sb->refcounts[rec.br_startblock + i]++;
	sb->alloc_lock.unlock();
}

void xfs_refcount_decrease_extent(super_block *sb, const xfs_bmbt_irec &rec)
{
	sb->alloc_lock.lock();
	for (std::uint64_t i = 0; i < rec.br_blockcount; i++) {
		const auto found = sb->refcounts.find(rec.br_startblock + i);
		if (found == sb->refcounts.end())
			sb->freed_blocks++;
		else if (--found->second == 0)
			sb->refcounts.erase(found);
	}
	sb->alloc_lock.unlock();
}

bool xfs_reflink_trim_around_shared(const xfs_inode *ip, xfs_bmbt_irec *irec)
{
	FRAME(xfs_reflink_trim_around_shared);
	if (!ip->is_reflink.peek() || irec->kind != block_kind::WRITTEN)
		return false;
	super_block *sb = ip->i_sb;
	sb->alloc_lock.lock();
	const bool shared = sb->refcounts.contains(irec->br_startblock);
	std::uint64_t count = 1;
	while (count < irec->br_blockcount &&
	       sb->refcounts.contains(irec->br_startblock + count) == shared)
		count++;
	sb->alloc_lock.unlock();
	irec->br_blockcount = count;
	return shared;
}

void xfs_reflink_cancel_cow_blocks(xfs_inode *ip, xfs_fileoff_t fsb, std::uint64_t len)
{
	FRAME(xfs_reflink_cancel_cow_blocks);
	if (ip->i_cow.extents.empty())
		return;
	for (xfs_bmbt_irec part : ip->i_cow.extents) {
		xfs_trim_extent(&part, fsb, len);
		if (part.kind != block_kind::DELALLOC)
			ip->i_sb->freed_blocks += part.br_blockcount;
	}
	xfs_bunmapi(ip, XFS_COW_FORK, fsb, len);
	if (ip->i_cow.extents.empty())
		ip->i_cowblocks = false;
}

void xfs_reflink_cancel_cow_range(xfs_inode *ip, loff_t offset, loff_t len)
{
	FRAME(xfs_reflink_cancel_cow_range);
	const xfs_fileoff_t first = XFS_B_TO_FSBT(offset);
	xfs_ilock(ip);
	xfs_reflink_cancel_cow_blocks(ip, first, XFS_B_TO_FSB(offset + len) - first);
	xfs_trans_commit(ip);
	xfs_iunlock(ip);
}

void xfs_reflink_convert_cow(xfs_inode *ip, loff_t offset, std::uint64_t count)
{
	FRAME(xfs_reflink_convert_cow);
	const xfs_fileoff_t first = XFS_B_TO_FSBT(offset);
	const xfs_fileoff_t end = XFS_B_TO_FSB(offset + static_cast<loff_t>(count));
	xfs_ilock(ip);
	xfs_bmapi_convert_unwritten(ip, XFS_COW_FORK, first, end - first);
	xfs_iunlock(ip);
}

void xfs_reflink_end_cow(xfs_inode *ip, loff_t offset, std::uint64_t count)
{
	FRAME(xfs_reflink_end_cow);
	xfs_fileoff_t fsb = XFS_B_TO_FSBT(offset);
	const xfs_fileoff_t end = XFS_B_TO_FSB(offset + static_cast<loff_t>(count));
	while (fsb < end)
		xfs_reflink_end_cow_extent(ip, &fsb, end);
}

/* Shared blocks of the range are copied, as if they were written; then the file may need no COW. */
int xfs_reflink_unshare(xfs_inode *ip, loff_t offset, loff_t len)
{
	FRAME(xfs_reflink_unshare);
	if (!ip->is_reflink.peek())
		return 0;
	int error = iomap_file_unshare(ip, offset, len, &xfs_buffered_write_iomap_ops);
	if (error == 0)
		error = filemap_write_and_wait_range(ip->i_mapping, offset, offset + len - 1);
	if (error == 0)
		xfs_reflink_try_clear_inode_flag(ip);
	return error;
}

/* Bytes, or an error. Sleeps. */
loff_t xfs_file_remap_range(file *in, loff_t in_pos, file *out, loff_t out_pos, loff_t len,
			    unsigned)
{
	FRAME(xfs_file_remap_range);
	xfs_inode *src = XFS_I(in->f_inode);
	xfs_inode *dest = XFS_I(out->f_inode);
	lock_two(src, dest);
	const int error = xfs_reflink_remap_prep(src, in_pos, dest, out_pos, &len);
	if (error == 0 && len != 0)
		xfs_reflink_remap_blocks(src, in_pos, dest, out_pos, len);
	unlock_two(src, dest);
	if (error == 0 && (out->f_flags & O_DSYNC) != 0)
		xfs_log_force(dest->i_sb);
	return error != 0 ? error : len;
}

} // namespace kernel
