// SPDX-License-Identifier: GPL-2.0-only
// Reading and writing back folios (fs/xfs/xfs_aops.c of 6.12).
//
// Lock order: folio lock -> ILOCK.
#include "engine/kernel/block.h"
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
	std::uint32_t data_seq = 0; /* i_df.if_seq when map was looked up */
};

bool xfs_imap_valid(const xfs_writepage_ctx *wpc, const xfs_inode *ip, loff_t offset)
{
	const loff_t start = wpc->map.offset;
	if (offset < start || offset >= start + static_cast<loff_t>(wpc->map.length))
		return false;
	return wpc->data_seq == READ_ONCE(ip->i_df.if_seq);
}

/* wpc->map is kept from block to block as long as the extents stay as they were. */
int xfs_map_blocks(iomap_writepage_ctx *context, inode *node, loff_t offset, std::size_t len)
{
	FRAME(xfs_map_blocks);
	auto *wpc = static_cast<xfs_writepage_ctx *>(context);
	xfs_inode *ip = XFS_I(node);
	const xfs_fileoff_t fsb = XFS_B_TO_FSBT(offset);
	const xfs_fileoff_t end_fsb = XFS_B_TO_FSB(offset + static_cast<loff_t>(len));
	std::size_t cursor;
	xfs_bmbt_irec imap;
	if (xfs_imap_valid(wpc, ip, offset))
		return 0;
	xfs_ilock_shared(ip);
	if (!xfs_iext_lookup_extent(&ip->i_df, fsb, &cursor, &imap))
		imap.br_startoff = end_fsb;
	wpc->data_seq = READ_ONCE(ip->i_df.if_seq);
	xfs_iunlock_shared(ip);

	iomap *map = &wpc->map;
	if (imap.br_startoff > fsb) {
		*map = { .type = iomap_type::HOLE,
			 .offset = XFS_FSB_TO_B(fsb),
			 .length =
				 static_cast<std::uint64_t>(XFS_FSB_TO_B(imap.br_startoff - fsb)) };
		return 0;
	}
	if (imap.kind == block_kind::DELALLOC)
		return xfs_bmapi_convert_delalloc(ip, offset, map, &wpc->data_seq);
	xfs_bmbt_to_iomap(map, &imap, 0, wpc->data_seq);
	return 0;
}

void xfs_prepare_ioend(iomap_ioend *ioend)
{
	FRAME(xfs_prepare_ioend);
	if (ioend->io_type == iomap_type::UNWRITTEN || xfs_ioend_is_append(ioend))
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
	xfs_bmap_punch_delalloc_range(XFS_I(f->mapping.load()->host), pos, end);
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
