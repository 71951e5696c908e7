// SPDX-License-Identifier: GPL-2.0-only
// Reading and writing back folios (fs/xfs/xfs_aops.c of 6.12).
//
// Lock order: folio lock -> ILOCK.
#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

struct xfs_writepage_ctx : iomap_writepage_ctx {
	/* Of the forks, when map was looked up. */
	std::uint32_t data_seq = 0;
	std::uint32_t cow_seq = 0;
};

bool xfs_imap_valid(const xfs_writepage_ctx *wpc, const xfs_inode *ip, loff_t offset)
{
	const loff_t start = wpc->map.offset;
	if (offset < start || offset >= start + static_cast<loff_t>(wpc->map.length))
		return false;
	/* A copy that is on its way stays where it is, whatever becomes of the data fork. */
	if ((wpc->map.flags & IOMAP_F_SHARED) != 0)
		return true;
	if (!patched(Patch::kWritebackChecksExtents))
		return true;
	if (wpc->data_seq != READ_ONCE(ip->i_df.if_seq))
		return false;
	return !xfs_inode_has_cow_data(ip) || wpc->cow_seq == READ_ONCE(ip->i_cow.if_seq);
}

/* *map ends before the COW fork's block. */
void trim_to_cow(iomap *map, const xfs_fileoff_t *cow_fsb)
{
	if (cow_fsb == nullptr)
		return;
	const loff_t cow = XFS_FSB_TO_B(*cow_fsb);
	if (cow > map->offset && cow < map->offset + static_cast<loff_t>(map->length))
		map->length = static_cast<std::uint64_t>(cow - map->offset);
}

/*
 * One look. The COW fork goes first, for what it has is newer. -EAGAIN: what it had was remapped or
 * cancelled before it could be allocated.
 */
int xfs_map_blocks_once(xfs_writepage_ctx *wpc, xfs_inode *ip, loff_t offset, xfs_fileoff_t end_fsb)
{
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(offset);
	iomap *map = &wpc->map;
	std::size_t cursor;
	xfs_bmbt_irec imap;
	xfs_bmbt_irec cow;
	const xfs_fileoff_t *cow_fsb = nullptr;

	xfs_ilock_shared(ip);
	if (xfs_inode_has_cow_data(ip) && xfs_iext_lookup_extent(&ip->i_cow, fsb, &cursor, &cow))
		cow_fsb = &cow.br_startoff;
	if (cow_fsb != nullptr && *cow_fsb <= fsb) {
		wpc->cow_seq = READ_ONCE(ip->i_cow.if_seq);
		xfs_iunlock_shared(ip);
		return xfs_bmapi_convert_delalloc(ip, XFS_COW_FORK, offset, map, &wpc->cow_seq);
	}
	if (!xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &imap))
		imap.br_startoff = end_fsb;
	wpc->data_seq = READ_ONCE(ip->i_df.if_seq);
	xfs_iunlock_shared(ip);

	int error = 0;
	if (imap.br_startoff > fsb)
		*map = { .type = iomap_type::HOLE,
			 .offset = XFS_FSB_TO_B(fsb),
			 .length =
				 static_cast<std::uint64_t>(XFS_FSB_TO_B(imap.br_startoff - fsb)) };
	else if (imap.kind == block_kind::DELALLOC)
		error = xfs_bmapi_convert_delalloc(ip, XFS_DATA_FORK, offset, map, &wpc->data_seq);
	else
		xfs_bmbt_to_iomap(map, &imap, 0, wpc->data_seq);
	trim_to_cow(map, cow_fsb);
	return error;
}

/* wpc->map is kept from block to block as long as the extents stay as they were. */
int xfs_map_blocks(iomap_writepage_ctx *context, inode *node, loff_t offset, std::size_t len)
{
	FRAME(xfs_map_blocks);
	auto *wpc = static_cast<xfs_writepage_ctx *>(context);
	xfs_inode *ip = XFS_I(node);
	const xfs_fileoff_t end_fsb = XFS_B_TO_FSB(offset + static_cast<loff_t>(len));
	if (patched(Patch::kZoned))
		return xfs_zoned_map_blocks(context, node, offset, len);
	if (xfs_imap_valid(wpc, ip, offset))
		return 0;
	/* The data fork has then what the COW fork had, or truncate has taken it. */
	int error = xfs_map_blocks_once(wpc, ip, offset, end_fsb);
	if (error == -EAGAIN)
		error = xfs_map_blocks_once(wpc, ip, offset, end_fsb);
	VM_WARN_ON_ONCE(error == -EAGAIN);
	return error;
}

void xfs_prepare_ioend(iomap_ioend *ioend)
{
	FRAME(xfs_prepare_ioend);
	const bool shared = (ioend->io_flags & IOMAP_F_SHARED) != 0;
	if (shared)
		xfs_reflink_convert_cow(XFS_I(ioend->io_inode), ioend->io_offset, ioend->io_bytes);
	if (shared || patched(Patch::kZoned) || ioend->io_type == iomap_type::UNWRITTEN ||
	    xfs_ioend_is_append(ioend))
		ioend->io_bio->end_io = xfs_end_bio;
}

/*
 * The bytes from pos to the folio's end have no place on the disk and will not be written: nothing
 * is dirty over their reservation any more. Folio lock held.
 */
void xfs_discard_folio(folio *f, loff_t pos)
{
	FRAME(xfs_discard_folio);
	const auto size = static_cast<loff_t>(folio_size(f));
	loff_t end = folio_pos(f) + size;
	/* In 6.2: at the folio's start, this is no byte at all. */
	if (patched(Patch::kPunchByteRange) && !patched(Patch::kDiscardToFolioEnd))
		end = (pos + size - 1) / size * size;
	xfs_bmap_punch_delalloc_range(XFS_I(f->mapping.load()->host), XFS_DATA_FORK, pos, end);
}

constexpr iomap_writeback_ops xfs_writeback_ops = {
	.map_blocks = xfs_map_blocks,
	.prepare_ioend = xfs_prepare_ioend,
	.discard_folio = xfs_discard_folio,
};

int xfs_vm_writepages(address_space *mapping, writeback_control *wbc)
{
	FRAME(xfs_vm_writepages);
	xfs_writepage_ctx wpc;
	wpc.ops = &xfs_writeback_ops;
	return iomap_writepages(mapping, wbc, &wpc);
}

int xfs_vm_read_folio(file *, folio *f)
{
	FRAME(xfs_vm_read_folio);
	return iomap_read_folio(f, &xfs_read_iomap_ops);
}

void xfs_vm_readahead(readahead_control *rac)
{
	FRAME(xfs_vm_readahead);
	iomap_readahead(rac, &xfs_read_iomap_ops);
}

} // namespace

const address_space_operations xfs_address_space_operations = {
	.read_folio = xfs_vm_read_folio,
	.readahead = xfs_vm_readahead,
	.writepages = xfs_vm_writepages,
	.dirty_folio = iomap_dirty_folio,
	.write_begin = nullptr,
	.write_end = nullptr,
	.invalidate_folio = iomap_invalidate_folio,
	.release_folio = iomap_release_folio,
	.launder_folio = nullptr,
	.free_folio = nullptr,
	.is_partially_uptodate = iomap_is_partially_uptodate,
};

} // namespace kernel
