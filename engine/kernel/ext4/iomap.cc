// SPDX-License-Identifier: GPL-2.0-only
// ext4's buffered I/O on iomap instead of buffer heads, as it was posted in February 2026 (patch
// ext4-iomap).
//
// What is different: a folio's lock comes before a handle, since writeback locks a folio and then
// looks for blocks; blocks are always unwritten until their data is there; an ordinary handle, not a
// reserved one, converts them; no data is promised to a commit; the size on the disk follows the
// data. Zeroing parts of blocks looks up the extent, and then the dirty folios over it, without a
// lock over both, unless ext4-zero-batch-under-lock says so. A truncation writes back what it has zeroed
// before its handle, if it zeroes before that.
//
// Left out: large folios, direct I/O, the records that order the block at the end of the file.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> handle -> i_data_sem.
#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

ext4_lblk_t block_of(loff_t pos)
{
	return static_cast<ext4_lblk_t>(pos / fs_block_size());
}

loff_t bytes_of(ext4_lblk_t blocks)
{
	return static_cast<loff_t>(blocks) * fs_block_size();
}

/* The blocks of the bytes [pos, pos + length), nothing known about them. */
ext4_map blocks_to_map(loff_t pos, std::uint64_t length)
{
	const loff_t end = round_up_to_block(pos + static_cast<loff_t>(length));
	return { block_of(pos), block_of(end) - block_of(pos), {} };
}

iomap_type type_of(es_status status)
{
	switch (status) {
	case es_status::DELAYED:
		return iomap_type::DELALLOC;
	case es_status::UNWRITTEN:
		return iomap_type::UNWRITTEN;
	case es_status::WRITTEN:
		return iomap_type::MAPPED;
	default:
		return iomap_type::HOLE;
	}
}

/* The batch stays. */
void ext4_set_iomap(iomap *map, const ext4_map &blocks, unsigned flags)
{
	folio_batch *const fbatch = map->fbatch;
	*map = { .type = type_of(blocks.es.status),
		 .flags = flags,
		 .offset = bytes_of(blocks.lblk),
		 .length = static_cast<std::uint64_t>(bytes_of(blocks.len)),
		 .addr = blocks.es.pblk,
		 .validity_cookie = blocks.seq,
		 .fbatch = fbatch };
}

/* ---- reading, writing ---- */

int ext4_iomap_buffered_read_begin(inode *node, loff_t pos, std::uint64_t length, unsigned,
				   iomap *map, iomap *)
{
	FRAME(ext4_iomap_buffered_read_begin);
	ext4_map blocks = blocks_to_map(pos, length);
	ext4_map_blocks(nullptr, node, &blocks, 0);
	ext4_set_iomap(map, blocks, 0);
	return 0;
}

int ext4_iomap_buffered_da_write_begin(inode *node, loff_t pos, std::uint64_t length, unsigned,
				       iomap *map, iomap *)
{
	FRAME(ext4_iomap_buffered_da_write_begin);
	ext4_map blocks = blocks_to_map(pos, length);
	bool reserved = false;
	const int error = ext4_da_map_blocks(node, &blocks, &reserved);
	if (error == 0)
		ext4_set_iomap(map, blocks, reserved ? IOMAP_F_NEW : 0u);
	return error;
}

void ext4_iomap_punch_delalloc(inode *node, loff_t offset, loff_t length, const iomap *)
{
	ext4_inode *ei = EXT4_I(node);
	ei->i_data_sem.down_write();
	ext4_es_remove_delayed(ei, block_of(offset), block_of(round_up_to_block(offset + length)));
	ei->i_data_sem.up_write();
}

int ext4_iomap_buffered_da_write_end(inode *node, loff_t pos, std::uint64_t length, long written,
				     unsigned flags, iomap *map)
{
	FRAME(ext4_iomap_buffered_da_write_end);
	if (map->type != iomap_type::DELALLOC || (map->flags & IOMAP_F_NEW) == 0 ||
	    (flags & IOMAP_FAULT) != 0)
		return 0;
	const loff_t start = iomap_unused_start(pos, written);
	const loff_t end = iomap_unused_end(pos, length);
	if (start >= end)
		return 0;
	filemap_invalidate_lock(node->i_mapping);
	iomap_write_delalloc_release(node, start, end, map, ext4_iomap_punch_delalloc);
	filemap_invalidate_unlock(node->i_mapping);
	return 0;
}

/* Folio lock held. */
bool ext4_iomap_valid(inode *node, const iomap *map)
{
	return map->validity_cookie == ext4_es_seq(EXT4_I(node));
}

/* ---- zeroing ---- */

/*
 * Between the two look-ups writeback of a dirty folio may end, and make its unwritten block a written
 * one: then the batch lacks it, and what the caller wanted zeroed keeps its bytes.
 *
 *   zeroing                         writeback
 *   1 the extent is unwritten
 *                                   A the folio is written, PG_dirty goes
 *                                   B the extent is converted, PG_writeback goes
 *   2 nothing is dirty over it
 */
int ext4_iomap_zero_begin(inode *node, loff_t pos, std::uint64_t length, unsigned, iomap *map,
			  iomap *)
{
	FRAME(ext4_iomap_zero_begin);
	ext4_inode *ei = EXT4_I(node);
	VM_WARN_ON_ONCE(patched(Patch::kExt4ZeroBeforeHandle) &&
			jbd2_current_handle(EXT4_SB(node->i_sb)->s_journal) != nullptr);
	const bool locks = patched(Patch::kExt4ZeroBatchLocked);
	ext4_map blocks = blocks_to_map(pos, length);
	if (locks)
		ei->i_data_sem.down_read();
	ext4_map_blocks(nullptr, node, &blocks, 0);
	if (blocks.es.status == es_status::UNWRITTEN && patched(Patch::kZeroRangeBatch)) {
		const loff_t end = std::min(pos + static_cast<loff_t>(length),
					    bytes_of(blocks.lblk + blocks.len));
		const loff_t looked = iomap_fill_dirty_folios(node, pos, end, map);
		blocks.len = block_of(round_up_to_block(looked)) - blocks.lblk;
	}
	if (locks)
		ei->i_data_sem.up_read();
	ext4_set_iomap(map, blocks, map->flags);
	return 0;
}

constexpr iomap_ops ext4_iomap_buffered_read_ops = {
	.iomap_begin = ext4_iomap_buffered_read_begin,
	.iomap_end = nullptr,
	.iomap_valid = nullptr,
};

constexpr iomap_ops ext4_iomap_buffered_da_write_ops = {
	.iomap_begin = ext4_iomap_buffered_da_write_begin,
	.iomap_end = ext4_iomap_buffered_da_write_end,
	.iomap_valid = ext4_iomap_valid,
};

constexpr iomap_ops ext4_iomap_zero_ops = {
	.iomap_begin = ext4_iomap_zero_begin,
	.iomap_end = nullptr,
	.iomap_valid = ext4_iomap_valid,
};

/* ---- writeback ---- */

/* Blocks for all that is delayed from the first one on. The folio lock is held: whoever has a handle
 * must not wait for it. */
int ext4_iomap_alloc_blocks(inode *node, ext4_map *blocks)
{
	FRAME(ext4_iomap_map_writeback_range);
	blocks->len = EXT4_I(node)->es.size() - blocks->lblk;
	handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
	const int mapped = ext4_map_blocks(handle, node, blocks,
					   EXT4_GET_BLOCKS_CREATE | EXT4_GET_BLOCKS_UNWRIT_EXT);
	ext4_journal_stop(handle);
	return std::min(mapped, 0);
}

int ext4_iomap_map_blocks(iomap_writepage_ctx *wpc, inode *node, loff_t offset, std::size_t len)
{
	const loff_t start = wpc->map.offset;
	if (offset >= start && offset < start + static_cast<loff_t>(wpc->map.length) &&
	    wpc->map.validity_cookie == ext4_es_seq(EXT4_I(node)))
		return 0;
	ext4_map blocks = blocks_to_map(offset, len);
	ext4_map_blocks(nullptr, node, &blocks, 0);
	if (blocks.es.status == es_status::DELAYED) {
		const int error = ext4_iomap_alloc_blocks(node, &blocks);
		if (error != 0)
			return error;
	}
	ext4_set_iomap(&wpc->map, blocks, 0);
	return 0;
}

loff_t ioend_end(const iomap_ioend *ioend)
{
	return ioend->io_offset + static_cast<loff_t>(ioend->io_size);
}

bool is_append(const iomap_ioend *ioend)
{
	return ioend_end(ioend) > ioend->io_inode->i_disksize.read_once();
}

void ext4_iomap_end_bio(bio *request)
{
	FRAME(ext4_iomap_end_bio);
	auto *ioend = static_cast<iomap_ioend *>(request->private_data);
	ext4_sb_info *sbi = EXT4_SB(ioend->io_inode->i_sb);
	sbi->rsv_conversion.complete();
	sbi->iomap_completed.push_back(ioend);
}

void ext4_iomap_prepare_ioend(iomap_ioend *ioend)
{
	if (ioend->io_type == iomap_type::UNWRITTEN || is_append(ioend))
		ioend->io_bio->end_io = ext4_iomap_end_bio;
}

/* Nothing will be written from pos to the folio's end. Folio lock held. */
void ext4_iomap_discard_folio(folio *f, loff_t pos)
{
	const loff_t end = folio_pos(f) + static_cast<loff_t>(folio_size(f));
	ext4_iomap_punch_delalloc(f->mapping.load()->host, pos, end - pos, nullptr);
}

constexpr iomap_writeback_ops ext4_iomap_writeback_ops = {
	.map_blocks = ext4_iomap_map_blocks,
	.prepare_ioend = ext4_iomap_prepare_ioend,
	.discard_folio = ext4_iomap_discard_folio,
};

int ext4_iomap_writepages(address_space *mapping, writeback_control *wbc)
{
	FRAME(ext4_iomap_writepages);
	iomap_writepage_ctx wpc;
	wpc.ops = &ext4_iomap_writeback_ops;
	return iomap_writepages(mapping, wbc, &wpc);
}

int ext4_iomap_read_folio(file *, folio *f)
{
	FRAME(ext4_iomap_read_folio);
	return iomap_read_folio(f, &ext4_iomap_buffered_read_ops);
}

void ext4_iomap_readahead(readahead_control *rac)
{
	FRAME(ext4_iomap_readahead);
	iomap_readahead(rac, &ext4_iomap_buffered_read_ops);
}

/* Blocks on the disk; delayed ones are no hole. */
int ext4_iomap_begin(inode *node, loff_t pos, std::uint64_t length, unsigned, iomap *map, iomap *)
{
	FRAME(ext4_iomap_begin);
	ext4_map blocks = blocks_to_map(pos, length);
	ext4_map_blocks(nullptr, node, &blocks, 0);
	ext4_set_iomap(map, blocks, 0);
	return 0;
}

int ext4_iomap_end(inode *, loff_t, std::uint64_t, long, unsigned, iomap *)
{
	FRAME(ext4_iomap_end);
	return 0;
}

} // namespace

void ext4_iomap_end_ioend(iomap_ioend *ioend)
{
	FRAME(ext4_iomap_end_ioend);
	inode *node = ioend->io_inode;
	const int error = ioend->io_bio->status;
	for (const bio_vec &part : ioend->io_bio->bi_io_vec)
		folio_claim_writeback(part.bv_folio);
	if (error == 0) {
		handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
		if (ioend->io_type == iomap_type::UNWRITTEN) {
			ext4_map blocks = blocks_to_map(ioend->io_offset, ioend->io_size);
			ext4_map_blocks(handle, node, &blocks, EXT4_GET_BLOCKS_CONVERT);
		}
		const loff_t size = std::min(ioend_end(ioend), i_size_read(node));
		if (size > node->i_disksize.read_once()) {
			ext4_update_i_disksize(node, size);
			ext4_mark_inode_dirty(handle, node);
		}
		ext4_journal_stop(handle);
	}
	iomap_finish_ioend(ioend, error);
}

long ext4_iomap_buffered_write(file *f, loff_t pos, const void *from, std::size_t len)
{
	return iomap_file_buffered_write(f, pos, from, len, &ext4_iomap_buffered_da_write_ops);
}

unsigned ext4_iomap_page_mkwrite(folio *f, const address_space *mapping)
{
	return iomap_page_mkwrite(f, mapping, &ext4_iomap_buffered_da_write_ops);
}

int ext4_iomap_block_zero_range(inode *node, loff_t from, loff_t length, bool *did_zero)
{
	return iomap_zero_range(node, from, length, did_zero, &ext4_iomap_zero_ops);
}

const iomap_ops ext4_iomap_ops = {
	.iomap_begin = ext4_iomap_begin,
	.iomap_end = ext4_iomap_end,
	.iomap_valid = nullptr,
};

const address_space_operations ext4_iomap_aops = {
	.read_folio = ext4_iomap_read_folio,
	.readahead = ext4_iomap_readahead,
	.writepages = ext4_iomap_writepages,
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
