// SPDX-License-Identifier: GPL-2.0-only
// Requests of writeback and what comes after them (fs/ext4/page-io.c of 6.12).
//
// Blocks that are unwritten become written when their data is on the disk, under a handle: that was
// reserved when the blocks were mapped, and is started by a worker. Only then does PG_writeback go.
// Blocks that were written before end their writeback as soon as their request does.
//
// The worker is woken once for each io_end and takes them in order; its queue, a leaf lock in Linux,
// is part of the points of its completion. It counts as who has to act before writeback that waits
// for a conversion ends.
#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr auto kPut = interleaf::Function("ext4_put_io_end");
constexpr auto kPutDeferred = interleaf::Function("ext4_put_io_end_defer");

/* The buffers of the request are no longer under writeback; the last of its folio ends that. */
void ext4_finish_bio(bio *request)
{
	FRAME(ext4_finish_bio);
	folio *f = bio_first_folio(request);
	const std::size_t size = ext4_block_size();
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	for (std::size_t at = request->bi_io_vec.front().bv_offset;
	     at < request->bi_io_vec.front().bv_offset + request->len; at += size)
		buffers->bh[at / size].clear(BH_Async_Write);
	const bool under_io =
		std::any_of(buffers->bh, buffers->bh + buffers->nr,
			    [](const buffer_head &bh) { return bh.test(BH_Async_Write); });
	delete request;
	if (!under_io)
		folio_end_writeback(f);
}

void ext4_release_io_end(ext4_io_end *io_end)
{
	FRAME(ext4_release_io_end);
	BUG_ON(io_end->unwritten);
	if (io_end->handle != nullptr)
		jbd2_journal_free_reserved(io_end->handle);
	const std::vector<bio *> bios = std::move(io_end->bios);
	delete io_end;
	for (bio *request : bios)
		ext4_finish_bio(request);
}

/* In one transaction, if a handle was reserved. */
void ext4_convert_unwritten_io_end_vec(ext4_io_end *io_end)
{
	FRAME(ext4_convert_unwritten_io_end_vec);
	inode *node = io_end->node;
	handle_t *handle = io_end->handle;
	io_end->handle = nullptr;
	const bool reserved = handle != nullptr;
	if (reserved)
		jbd2_journal_start_reserved(handle);
	for (const ext4_io_end::range &range : io_end->list_vec) {
		if (!reserved)
			handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
		const auto size = static_cast<loff_t>(ext4_block_size());
		const loff_t end = (range.offset + range.size + size - 1) / size;
		ext4_map map{ static_cast<ext4_lblk_t>(range.offset / size), 0, {} };
		map.len = static_cast<std::uint64_t>(end) - map.lblk;
		ext4_map_blocks(handle, node, &map, EXT4_GET_BLOCKS_CONVERT);
		if (!reserved)
			ext4_journal_stop(handle);
	}
	if (reserved)
		ext4_journal_stop(handle);
}

/* Conversion, then the end of writeback. Requests that failed leave their blocks as they are. */
void ext4_end_io_end(ext4_io_end *io_end)
{
	FRAME(ext4_end_io_end);
	if (!io_end->failed)
		ext4_convert_unwritten_io_end_vec(io_end);
	io_end->unwritten = false;
	ext4_release_io_end(io_end);
}

void ext4_add_complete_io(ext4_io_end *io_end)
{
	FRAME(ext4_add_complete_io);
	ext4_sb_info *sbi = EXT4_SB(io_end->node->i_sb);
	sbi->rsv_conversion.complete();
	sbi->completed.push_back(io_end);
}

/* True if the hold given up was the last. */
bool put_io_end(ext4_io_end *io_end)
{
	return !io_end->shared || io_end->count.dec_and_test();
}

/* In the completion task. */
void ext4_end_bio(bio *request)
{
	FRAME(ext4_end_bio);
	auto *io_end = static_cast<ext4_io_end *>(request->private_data);
	if (request->status != 0) {
		inode *node = request->owner;
		io_end->failed = true;
		mapping_set_error(node->i_mapping, request->status);
		this_machine().watcher->write_error(*node, request->pos, request->len);
	}
	if (io_end->unwritten) {
		io_end->bios.push_back(request);
		ext4_put_io_end(io_end, true);
	} else {
		ext4_put_io_end(io_end, true);
		ext4_finish_bio(request);
	}
}

/* One request for adjoining blocks of the folio, from buffer `first` on. */
void io_submit_add(ext4_io_submitter *io, folio *f, unsigned first,
		   std::vector<std::uint64_t> blocks)
{
	const std::size_t offset = first * ext4_block_size();
	const std::size_t len = blocks.size() * ext4_block_size();
	io->io_end->shared = true;
	io->io_end->count.poke(io->io_end->count.peek() + 1); /* nothing is submitted yet */
	auto *request =
		new bio{ .op = bio_op::WRITE,
			 .blocks = std::move(blocks),
			 .owner = io->io_end->node,
			 .pos = static_cast<loff_t>((f->index.look() << page_shift()) + offset),
			 .end_io = ext4_end_bio,
			 .private_data = io->io_end };
	bio_add_folio(request, f, len, offset);
	io->bios.push_back(request);
}

} // namespace

ext4_io_end *ext4_init_io_end(inode *node)
{
	return new ext4_io_end(EXT4_I(node));
}

void ext4_put_io_end(ext4_io_end *io_end, bool defer)
{
	const interleaf::Frame frame(defer ? kPutDeferred : kPut);
	if (!put_io_end(io_end))
		return;
	const bool converts = io_end->unwritten && !io_end->list_vec.empty();
	if (converts && defer) {
		ext4_add_complete_io(io_end);
		return;
	}
	if (converts && !io_end->failed)
		ext4_convert_unwritten_io_end_vec(io_end);
	io_end->unwritten = false;
	ext4_release_io_end(io_end);
}

void ext4_bio_write_folio(ext4_io_submitter *io, folio *f, std::size_t len)
{
	FRAME(ext4_bio_write_folio);
	BUG_ON(f->flags.look(PG_writeback));
	if (len < folio_size(f))
		folio_zero_contents(f, len, folio_size(f) - len);
	/* All are marked before the first is submitted: its end must not be the end of all. */
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	bool any = false;
	bool keep_towrite = false;
	for (unsigned i = 0; i < buffers->nr; i++) {
		buffer_head *bh = &buffers->bh[i];
		if (i * ext4_block_size() >= len) {
			bh->clear(BH_Dirty);
			bh->set(BH_Uptodate);
			continue;
		}
		if (!bh->test(BH_Dirty) || !bh->test(BH_Mapped) ||
		    bh->test(BH_Delay | BH_Unwritten)) {
			if (!bh->test(BH_Mapped))
				bh->clear(BH_Dirty);
			if (bh->test(BH_Dirty)) {
				if (!folio_test_dirty(f))
					filemap_dirty_folio(f->mapping.load(), f);
				keep_towrite = true;
			}
			continue;
		}
		bh->clear(BH_New | BH_Dirty);
		bh->set(BH_Async_Write);
		any = true;
	}
	if (!any)
		return;
	folio_start_writeback(f, keep_towrite);
	std::vector<std::uint64_t> run;
	for (unsigned i = 0; i <= buffers->nr; i++) {
		const bool writes = i < buffers->nr && buffers->bh[i].test(BH_Async_Write);
		const bool adjoins =
			writes && !run.empty() && buffers->bh[i].b_blocknr == run.back() + 1;
		if (!run.empty() && !adjoins) {
			const auto first = i - static_cast<unsigned>(run.size());
			io_submit_add(io, f, first, std::exchange(run, {}));
		}
		if (writes)
			run.push_back(buffers->bh[i].b_blocknr);
	}
}

void ext4_io_submit(ext4_io_submitter *io)
{
	FRAME(ext4_io_submit);
	for (bio *request : io->bios)
		submit_bio(request);
	io->bios.clear();
}

void ext4_end_io_rsv_work(super_block *sb)
{
	FRAME(ext4_end_io_rsv_work);
	ext4_sb_info *sbi = EXT4_SB(sb);
	for (;;) {
		sbi->rsv_conversion.wait();
		if (!sbi->iomap_completed.empty()) {
			iomap_ioend *ioend = sbi->iomap_completed.front();
			sbi->iomap_completed.erase(sbi->iomap_completed.begin());
			ext4_iomap_end_ioend(ioend);
			continue;
		}
		ext4_io_end *io_end = sbi->completed.front();
		sbi->completed.erase(sbi->completed.begin());
		for (const bio *request : io_end->bios)
			folio_claim_writeback(bio_first_folio(request));
		ext4_end_io_end(io_end);
	}
}

} // namespace kernel
