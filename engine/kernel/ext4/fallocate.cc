// SPDX-License-Identifier: GPL-2.0-only
// Blocks before data, holes, ranges of zeros (fs/ext4/extents.c and inode.c of 6.12).
//
// Left out: collapse and insert range. Who calls ->fallocate tells the watcher which bytes go.
//
// Lock order: i_rwsem -> invalidate_lock -> handle -> folio lock -> i_data_sem.
#include <linux/falloc.h>

#include <algorithm>

#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

loff_t block_size()
{
	return static_cast<loff_t>(ext4_block_size());
}

loff_t round_down_to_block(loff_t pos)
{
	return pos - pos % block_size();
}

loff_t round_up_to_block(loff_t pos)
{
	return round_down_to_block(pos + block_size() - 1);
}

/*
 * Blocks [first, end) become unwritten unless they are on the disk. The file grows to new_size with
 * them; 0: it does not. 0, -ENOSPC.
 */
int ext4_alloc_file_blocks(inode *node, ext4_lblk_t first, ext4_lblk_t end, loff_t new_size)
{
	FRAME(ext4_alloc_file_blocks);
	while (first < end) {
		handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
		ext4_map map{ first, end - first, {} };
		const int mapped = ext4_map_blocks(
			handle, node, &map, EXT4_GET_BLOCKS_CREATE | EXT4_GET_BLOCKS_UNWRIT_EXT);
		if (mapped <= 0) {
			ext4_journal_stop(handle);
			return mapped;
		}
		first += static_cast<ext4_lblk_t>(mapped);
		if (new_size != 0) {
			const loff_t pos =
				std::min(static_cast<loff_t>(first) * block_size(), new_size);
			if (pos > node->i_size.load())
				i_size_write(node, pos);
			ext4_update_i_disksize(node, pos);
		}
		ext4_mark_inode_dirty(handle, node);
		ext4_journal_stop(handle);
	}
	return 0;
}

/* What is written behind the disk's size, in blocks that go now, must not be forgotten with them. */
void ext4_update_disksize_before_punch(inode *node, loff_t end)
{
	FRAME(ext4_update_disksize_before_punch);
	const loff_t size = i_size_read(node);
	if (size > end || node->i_disksize.read_once() >= size)
		return;
	handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
	ext4_update_i_disksize(node, size);
	ext4_mark_inode_dirty(handle, node);
	ext4_journal_stop(handle);
}

/*
 * Blocks of a page that stays go: the next store to it must fault, so that it gets blocks for what it
 * makes dirty. [start, end) lies in the page.
 */
void ext4_truncate_folio(inode *node, loff_t start, loff_t end)
{
	FRAME(ext4_truncate_folio);
	if (round_up_to_block(start) >= round_down_to_block(end))
		return;
	folio *f = filemap_lock_folio(node->i_mapping, static_cast<pgoff_t>(start) / page_size());
	if (IS_ERR(f))
		return;
	if (folio_mkclean(f) != 0)
		folio_mark_dirty(f);
	folio_unlock(f);
	folio_put(f);
}

/* The pages at the edges of [start, end). */
void write_protect_edges(inode *node, loff_t start, loff_t end)
{
	const auto page = static_cast<loff_t>(page_size());
	if (block_size() == page || (start % page == 0 && end % page == 0) ||
	    start >= node->i_size.load())
		return;
	const loff_t boundary = (start + page - 1) / page * page;
	ext4_truncate_folio(node, start, std::min(boundary, end));
	if (end > boundary)
		ext4_truncate_folio(node, end - end % page, end);
}

/* Whole blocks of the bytes [start, end) leave the cache, and the rest becomes zeros there; in older
 * kernels it stays as it is. */
void truncate_cache(inode *node, loff_t start, loff_t end)
{
	if (patched(Patch::kExt4TruncateCacheRange)) {
		write_protect_edges(node, start, end);
	} else {
		start = round_up_to_block(start);
		end = round_down_to_block(end);
	}
	if (start < end)
		truncate_pagecache_range(node, start, end - 1);
}

int ext4_punch_hole(inode *node, loff_t start, loff_t len)
{
	FRAME(ext4_punch_hole);
	const loff_t size = node->i_size.load();
	if (start >= size)
		return 0;
	loff_t end = start + len;
	if (end > size) {
		const auto page = static_cast<loff_t>(page_size());
		end = (size + page - 1) / page * page;
	}
	address_space *mapping = node->i_mapping;
	if (!patched(Patch::kExt4TruncateCacheRange)) {
		const int flushed = filemap_write_and_wait_range(mapping, start, end - 1);
		if (flushed != 0)
			return flushed;
	}
	filemap_invalidate_lock(mapping);
	ext4_update_disksize_before_punch(node, end);
	truncate_cache(node, start, end);

	const bool zero_first = patched(Patch::kExt4ZeroBeforeHandle);
	int error = zero_first ? ext4_zero_partial_blocks(nullptr, node, start, end - start) : 0;
	if (error != 0) {
		filemap_invalidate_unlock(mapping);
		return error;
	}
	handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
	if (!zero_first)
		error = ext4_zero_partial_blocks(handle, node, start, end - start);
	const loff_t first = round_up_to_block(start);
	const loff_t last = round_down_to_block(end);
	if (error == 0 && first < last) {
		ext4_inode *ei = EXT4_I(node);
		ei->i_data_sem.down_write();
		ext4_es_remove_extent(ei, static_cast<ext4_lblk_t>(first / block_size()),
				      static_cast<ext4_lblk_t>(last / block_size()));
		ei->i_data_sem.up_write();
	}
	ext4_mark_inode_dirty(handle, node);
	ext4_journal_stop(handle);
	filemap_invalidate_unlock(mapping);
	return error;
}

int ext4_zero_range(inode *node, loff_t start, loff_t len, bool keep_size)
{
	FRAME(ext4_zero_range);
	const loff_t end = start + len;
	const loff_t new_size = !keep_size && end > node->i_size.load() ? end : 0;
	/* Blocks for the parts at the edges first. */
	const loff_t outer_first = round_down_to_block(start);
	const loff_t outer_end = round_up_to_block(end);
	int error = 0;
	if (outer_first != start || outer_end != end)
		error = ext4_alloc_file_blocks(
			node, static_cast<ext4_lblk_t>(outer_first / block_size()),
			static_cast<ext4_lblk_t>(outer_end / block_size()), new_size);
	if (error != 0)
		return error;
	address_space *mapping = node->i_mapping;
	filemap_invalidate_lock(mapping);
	ext4_update_disksize_before_punch(node, end);
	truncate_cache(node, start, end);
	const loff_t first = round_up_to_block(start);
	const loff_t last = round_down_to_block(end);
	if (first < last) {
		const auto from = static_cast<ext4_lblk_t>(first / block_size());
		const auto to = static_cast<ext4_lblk_t>(last / block_size());
		error = ext4_alloc_file_blocks(node, from, to, new_size);
		if (error == 0) {
			handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
			EXT4_I(node)->i_data_sem.down_write();
			ext4_es_make_unwritten(EXT4_I(node), from, to);
			ext4_mark_inode_dirty(handle, node);
			EXT4_I(node)->i_data_sem.up_write();
			ext4_journal_stop(handle);
		}
	}
	const bool zero_first = patched(Patch::kExt4ZeroBeforeHandle);
	if (error == 0 && zero_first)
		error = ext4_zero_partial_blocks(nullptr, node, start, len);
	if (error == 0) {
		handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
		if (!zero_first)
			error = ext4_zero_partial_blocks(handle, node, start, len);
		ext4_mark_inode_dirty(handle, node);
		ext4_journal_stop(handle);
	}
	filemap_invalidate_unlock(mapping);
	return error;
}

} // namespace

/* Bytes. -EOPNOTSUPP for other modes; -EINVAL, -ENOSPC, -EIO. */
long ext4_fallocate(file *f, int mode, loff_t offset, loff_t len)
{
	FRAME(ext4_fallocate);
	inode *node = f->f_inode;
	const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
	const int operation = mode & ~FALLOC_FL_KEEP_SIZE;
	if (offset < 0 || len <= 0)
		return -EINVAL;
	inode_lock(node);
	inode_dio_wait(node);
	int error = -EOPNOTSUPP;
	if (operation == FALLOC_FL_PUNCH_HOLE) {
		error = ext4_punch_hole(node, offset, len);
	} else if (operation == FALLOC_FL_ZERO_RANGE) {
		error = ext4_zero_range(node, offset, len, keep_size);
	} else if (operation == 0) {
		const loff_t end = offset + len;
		const bool grows = !keep_size && end > node->i_size.load();
		error = ext4_alloc_file_blocks(
			node, static_cast<ext4_lblk_t>(offset / block_size()),
			static_cast<ext4_lblk_t>(round_up_to_block(end) / block_size()),
			grows ? end : 0);
	}
	inode_unlock(node);
	return error;
}

} // namespace kernel
