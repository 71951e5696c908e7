// SPDX-License-Identifier: GPL-2.0-only
// Requests of writeback: filling, submitting, ending (fs/iomap/buffered-io.c of 6.12). A request has
// what lies together in the file and on the disk and is of one kind.
#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/ioend.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

iomap_ioend *iomap_alloc_ioend(const iomap_writepage_ctx *wpc, inode *node, loff_t pos,
			       std::uint64_t block)
{
	auto *request = new bio{ .op = bio_op::WRITE, .owner = node, .pos = pos };
	request->end_io = iomap_writepage_end_bio;
	auto *ioend = new iomap_ioend{ .io_inode = node,
				       .io_type = wpc->map.type,
				       .io_flags = wpc->map.flags & IOMAP_F_SHARED,
				       .io_offset = pos,
				       .io_size = 0,
				       .io_bio = request,
				       .io_next_block = block };
	request->private_data = ioend;
	return ioend;
}

bool iomap_can_add_to_ioend(const iomap_writepage_ctx *wpc, loff_t pos, std::uint64_t block)
{
	const iomap_ioend *ioend = wpc->ioend;
	return (wpc->map.flags & IOMAP_F_SHARED) == ioend->io_flags &&
	       wpc->map.type == ioend->io_type &&
	       pos == ioend->io_offset + static_cast<loff_t>(ioend->io_bytes) &&
	       block == ioend->io_next_block;
}

/* Ends writeback of a folio once all of its bytes are done. */
void iomap_finish_folio_write(folio *f, std::size_t len)
{
	iomap_folio_state *ifs = ifs_of(f);
	if (ifs == nullptr || ifs->write_bytes_pending.add_return(-static_cast<long>(len)) == 0)
		folio_end_writeback(f);
}

} // namespace

void iomap_submit(const iomap_writeback_ops *ops, iomap_ioend *ioend, int error)
{
	if (ops->prepare_ioend != nullptr)
		ops->prepare_ioend(ioend);
	if (error != 0) {
		/* It never gets to the device; its pages must not wait for ever. */
		ioend->io_bio->status = error;
		ioend->io_bio->end_io(ioend->io_bio);
		return;
	}
	submit_bio(ioend->io_bio);
}

void iomap_submit_ioend(iomap_writepage_ctx *wpc, int error)
{
	FRAME(iomap_submit_ioend);
	if (wpc->ioend == nullptr)
		return;
	iomap_ioend *ioend = wpc->ioend;
	wpc->ioend = nullptr;
	iomap_submit(wpc->ops, ioend, error);
}

void iomap_add_to_ioend(iomap_writepage_ctx *wpc, folio *f, loff_t pos, loff_t end_pos,
			std::size_t len)
{
	const auto size = static_cast<std::size_t>(fs_block_size());
	const std::uint64_t block =
		wpc->map.addr + static_cast<std::uint64_t>(pos - wpc->map.offset) / size;
	if (wpc->ioend == nullptr || !iomap_can_add_to_ioend(wpc, pos, block)) {
		/* Its folios are locked no more, but for this one. */
		if (patched(Patch::kWritebackBitEarly))
			iomap_submit_ioend(wpc, 0);
		else if (wpc->ioend != nullptr)
			wpc->full.push_back(wpc->ioend);
		wpc->ioend = iomap_alloc_ioend(wpc, f->mapping.load()->host, pos, block);
	}
	iomap_ioend *ioend = wpc->ioend;
	bio_add_folio(ioend->io_bio, f, len, offset_in_folio(f, pos));
	for (std::size_t i = 0; i < len / size; i++)
		ioend->io_bio->blocks.push_back(block + i);
	if (iomap_folio_state *ifs = ifs_of(f))
		ifs->write_bytes_pending.add(static_cast<long>(len));
	ioend->io_next_block = block + len / size;
	ioend->io_bytes += len;
	ioend->io_size = ioend->io_bytes;
	ioend->io_data_end = std::min(end_pos, pos + static_cast<loff_t>(len));
	/*
	 * The last block may reach over the end of the file as it was when the folio was locked. Who
	 * appends meanwhile moves the end, but that data is not in this request.
	 */
	if (patched(Patch::kIoendSizeClamp))
		ioend->io_size = std::min(ioend->io_size,
					  static_cast<std::uint64_t>(end_pos - ioend->io_offset));
}

void iomap_finish_ioend(iomap_ioend *ioend, int error)
{
	FRAME(iomap_finish_ioend);
	bio *request = ioend->io_bio;
	if (error != 0) {
		mapping_set_error(ioend->io_inode->i_mapping, error);
		this_machine().watcher->write_error(*ioend->io_inode, ioend->io_offset,
						    ioend->io_bytes);
	}
	for (const bio_vec &part : request->bi_io_vec)
		iomap_finish_folio_write(part.bv_folio, part.bv_len);
	delete request;
	delete ioend;
}

void iomap_writepage_end_bio(bio *request)
{
	FRAME(iomap_writepage_end_bio);
	iomap_finish_ioend(static_cast<iomap_ioend *>(request->private_data), request->status);
}

} // namespace kernel
