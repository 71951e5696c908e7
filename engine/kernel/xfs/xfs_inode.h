// SPDX-License-Identifier: GPL-2.0-only
// XFS: its inode with the extents of a file, and what its files do for each other (fs/xfs of 6.12,
// default mount options). Blocks are file system blocks; offsets in blocks are
// called fsb as in XFS.
//
// Left out, for all of it: transactions reserve no log space, so that nothing waits for it; the log
// is there for power cuts only (log_metadata(), force_log()). Allocation groups, trees, quota, real
// time, extent size hints, busy extents: a block is free until it is allocated, and never after.
// The worst case of tree blocks is not reserved.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> ILOCK -> alloc_lock. Who holds ILOCK waits
// for no folio and no writeback.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernel/block_types.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/iomap/iomap.h"
#include "scheduler/sync/shared.h"

namespace kernel
{

using xfs_fileoff_t = std::uint64_t;

/* An extent: blocks that lie together in the file and, unless DELALLOC, on the disk. */
struct xfs_bmbt_irec {
	xfs_fileoff_t br_startoff = 0;
	std::uint64_t br_blockcount = 0;
	block_kind kind = block_kind::HOLE;
	std::uint64_t br_startblock = 0; /* UNWRITTEN, WRITTEN */

	xfs_fileoff_t end() const { return br_startoff + br_blockcount; }
};

/* What is at the bytes of a file, and where what is written to shared blocks goes: see reflink.cc. */
enum xfs_fork : std::uint8_t { XFS_DATA_FORK, XFS_COW_FORK };

/* The extents of a file, ascending, none touching one that it could be one with. ILOCK. */
struct xfs_ifork {
	std::vector<xfs_bmbt_irec> extents;
	/* Changes: ILOCK; who has no ILOCK may look. */
	interleaf::Shared<std::uint32_t> if_seq; /* counts changes */
	interleaf::Shared<std::uint64_t> if_bytes; /* of the COW fork: 0 if it has no extents */
};

/* The unit in which a COW fork is reserved: the default of cowextsize. */
inline constexpr std::uint64_t kCowExtentBlocks = 32;

struct xfs_inode : inode {
	interleaf::Rwsem i_ilock; /* ILOCK */
	xfs_ifork i_df;
	xfs_ifork i_cow; /* i_cowfp in Linux */
	/* Blocks may be shared with other files. Changes: ILOCK, i_rwsem and invalidate_lock. */
	interleaf::Shared<bool> is_reflink;
	std::uint64_t i_delayed_blks = 0; /* ILOCK; DELALLOC blocks */
	bool i_eofblocks =
		false; /* ILOCK; blocks behind the end of the file are there on purpose */
	bool i_cowblocks = false; /* ILOCK; blocks of the COW fork are there on purpose */
	interleaf::Spinlock i_ioend_lock;
	std::vector<iomap_ioend *> i_ioend_list; /* i_ioend_lock; done, but for what may sleep */

	xfs_inode(super_block *sb, std::string file_name, unsigned ino);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, xfs_inode_block);
	}
};

inline xfs_inode *XFS_I(inode *node)
{
	return static_cast<xfs_inode *>(node);
}
inline const xfs_inode *XFS_I(const inode *node)
{
	return static_cast<const xfs_inode *>(node);
}

inline xfs_ifork *xfs_ifork_ptr(xfs_inode *ip, xfs_fork whichfork)
{
	return whichfork == XFS_COW_FORK ? &ip->i_cow : &ip->i_df;
}
/* No ILOCK is needed, but it may change then. */
bool xfs_inode_has_cow_data(const xfs_inode *ip);

extern const super_operations xfs_super_operations;

void xfs_ilock_shared(xfs_inode *ip);
void xfs_iunlock_shared(xfs_inode *ip);
void xfs_ilock(xfs_inode *ip);
void xfs_iunlock(xfs_inode *ip);

/* Blocks and bytes: rounded down, rounded up. */
xfs_fileoff_t XFS_B_TO_FSBT(loff_t bytes);
xfs_fileoff_t XFS_B_TO_FSB(loff_t bytes);
loff_t XFS_FSB_TO_B(xfs_fileoff_t blocks);

/* ---- bmap.cc: the extents. ILOCK held, for write by who changes them. ---- */

/* The extent that has the block, or the first one behind it; false: there is none. */
bool xfs_iext_lookup_extent(const xfs_ifork *ifp, xfs_fileoff_t fsb, std::size_t *cursor,
			    xfs_bmbt_irec *got);
/* Cuts it to what it has of [start, start + len); maybe nothing. */
void xfs_trim_extent(xfs_bmbt_irec *rec, xfs_fileoff_t start, std::uint64_t len);
/* Reserves blocks in the hole at fsb, `len` or up to the next extent, and `prealloc` more; *got becomes
 * these blocks and no others, though the fork may have them in one extent with their neighbours: a
 * short write gives back what is in *got. 0, -ENOSPC. */
int xfs_bmapi_reserve_delalloc(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb,
			       std::uint64_t len, std::uint64_t prealloc, xfs_bmbt_irec *got);
/* Reservations of bytes [start, end) go; other extents stay. Takes ILOCK. */
void xfs_bmap_punch_delalloc_range(xfs_inode *ip, xfs_fork whichfork, loff_t start_byte,
				   loff_t end_byte);
/*
 * The reservation that has the byte gets blocks, all of it: UNWRITTEN. *map and *seq become what is
 * there then. Takes ILOCK. 0, -ENOSPC; -EAGAIN: there is none.
 */
int xfs_bmapi_convert_delalloc(xfs_inode *ip, xfs_fork whichfork, loff_t offset, iomap *map,
			       std::uint32_t *seq);
/* What is UNWRITTEN of the blocks becomes WRITTEN. */
void xfs_bmapi_convert_unwritten(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb,
				 std::uint64_t len);
/* Whatever is there of the blocks goes. */
void xfs_bunmapi(xfs_inode *ip, xfs_fork whichfork, xfs_fileoff_t fsb, std::uint64_t len);
/* A hole of the data fork gets these blocks. */
void xfs_bmap_map_extent(xfs_inode *ip, const xfs_bmbt_irec &rec);
/* Holes and DELALLOC of the blocks become UNWRITTEN. 0, -ENOSPC. */
int xfs_bmapi_write(xfs_inode *ip, xfs_fileoff_t fsb, std::uint64_t len);
/* What is there from the block on moves by so many; where it goes to is a hole. */
void xfs_bmap_shift(xfs_inode *ip, xfs_fileoff_t fsb, long blocks);
/* The first of so many free blocks side by side, of no file yet, or BLOCK_HOLE. */
std::uint64_t xfs_alloc_blocks(super_block *sb, std::uint64_t blocks);
/* In set-up: a WRITTEN block. */
void xfs_map_block(inode *node, std::uint64_t index, std::uint64_t block);

/* ---- iomap_ops.cc ---- */

std::uint64_t xfs_iomap_inode_sequence(const xfs_inode *ip, unsigned iomap_flags);
void xfs_bmbt_to_iomap(iomap *map, const xfs_bmbt_irec *imap, unsigned flags, std::uint64_t cookie);
extern const iomap_ops xfs_buffered_write_iomap_ops;
extern const iomap_ops xfs_page_mkwrite_iomap_ops;
extern const iomap_ops xfs_read_iomap_ops;
extern const iomap_ops xfs_seek_iomap_ops;

/* ---- reflink.cc: shared blocks. ILOCK held, for write by who changes something. ---- */

/* Files map these blocks once more, or once less. */
void xfs_refcount_increase_extent(super_block *sb, const xfs_bmbt_irec &rec);
void xfs_refcount_decrease_extent(super_block *sb, const xfs_bmbt_irec &rec);
/* Cuts the extent so that it starts where it did and all of it is shared, or nothing. True: shared. */
bool xfs_reflink_trim_around_shared(const xfs_inode *ip, xfs_bmbt_irec *irec);
/* The COW fork's blocks of the range go, in use or not. */
void xfs_reflink_cancel_cow_blocks(xfs_inode *ip, xfs_fileoff_t fsb, std::uint64_t len);
/* The same for bytes. Takes ILOCK. */
void xfs_reflink_cancel_cow_range(xfs_inode *ip, loff_t offset, loff_t len);
/* What writeback is about to write of the COW fork will count. Takes ILOCK. */
void xfs_reflink_convert_cow(xfs_inode *ip, loff_t offset, std::uint64_t count);
/* It is written: it takes the place of what the data fork has. Takes ILOCK. */
void xfs_reflink_end_cow(xfs_inode *ip, loff_t offset, std::uint64_t count);
/* i_rwsem and invalidate_lock held for write. 0 or an error. Sleeps. */
int xfs_reflink_unshare(xfs_inode *ip, loff_t offset, loff_t len);
loff_t xfs_file_remap_range(file *in, loff_t in_pos, file *out, loff_t out_pos, loff_t len,
			    unsigned flags);

/* ---- zoned.cc ---- */

int xfs_zoned_buffered_write_iomap_begin(inode *node, loff_t pos, std::uint64_t length,
					 unsigned flags, iomap *map, iomap *srcmap);
int xfs_zoned_map_blocks(iomap_writepage_ctx *wpc, inode *node, loff_t offset, std::size_t len);
/* Takes ILOCK. After an error the new blocks are nobody's. */
void xfs_zoned_end_io(xfs_inode *ip, const iomap_ioend *ioend, int error);

/* ---- aops.cc, end_io.cc ---- */

extern const address_space_operations xfs_address_space_operations;
/* The request of writeback is done; what it needs of ILOCK a task of its own does. */
void xfs_end_bio(bio *request);
[[noreturn]] void xfs_end_io_worker();
bool xfs_ioend_is_append(const iomap_ioend *ioend);

/* ---- file.cc, setattr.cc, fallocate.cc ---- */

extern const file_operations xfs_file_operations;
extern const inode_operations xfs_inode_operations;
/* i_rwsem held for write. 0 or an error. Sleeps. */
int xfs_zero_range(inode *node, loff_t pos, loff_t len, bool *did_zero);
int xfs_truncate_page(inode *node, loff_t pos, bool *did_zero);
/* And invalidate_lock, too. */
int xfs_setattr_size(inode *node, loff_t newsize);
/* Writes what is dirty of the pages that have these bytes, and takes them out of the cache. i_rwsem
 * and invalidate_lock held for write. Sleeps. */
int xfs_flush_unmap_range(xfs_inode *ip, loff_t offset, loff_t len);
long xfs_file_fallocate(file *f, int mode, loff_t offset, loff_t len);

/* ---- the log; xfs_inode.cc ---- */

/* The extents and the size, as they are now, go to the log. ILOCK held for write. */
void xfs_trans_commit(xfs_inode *ip);
/* What is in the log reaches the disk, and before it what the device's cache has. Sleeps. */
void xfs_log_force(super_block *sb);

} // namespace kernel
