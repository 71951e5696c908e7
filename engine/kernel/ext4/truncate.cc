// SPDX-License-Identifier: GPL-2.0-only
// Zeroing parts of blocks, and changes of a file's size (fs/ext4/inode.c of 6.12).
//
// Parts of blocks are zeroed in the cache under the handle of the change that needs it; with
// data=ordered the commit of that handle writes them. With ext4-zero-before-handle they are zeroed
// first, so that no folio lock is asked for under that handle.
//
// Left out: the orphan list, truncates in several transactions.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

/* What is not on the disk, nor delayed in the cache, reads as zeros already. */
static int zero_in_folio(handle_t *handle, folio *f, loff_t from, loff_t length, bool *written)
{
	inode *node = f->mapping.load()->host;
	if (folio_buffers(f) == nullptr)
		create_empty_buffers(f);
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	const auto offset = static_cast<std::size_t>(
		from - static_cast<loff_t>(f->index.load() << page_shift()));
	const auto which = static_cast<unsigned>(offset / ext4_block_size());
	buffer_head *bh = &buffers->bh[which];
	if (!bh->test(BH_Mapped)) {
		ext4_get_block(node, static_cast<std::uint64_t>(from) / ext4_block_size(), bh,
			       false);
		if (!bh->test(BH_Mapped))
			return 0;
	}
	if (folio_test_uptodate(f))
		bh->set(BH_Uptodate);
	if (!bh->test(BH_Uptodate)) {
		const int error = bh_read(f, which);
		if (error != 0)
			return error;
	}
	folio_zero_contents(f, offset, static_cast<std::size_t>(length));
	mark_buffer_dirty(f, bh);
	if (handle != nullptr)
		ext4_jbd2_inode_add_write(handle, node, from, length);
	if (written != nullptr)
		*written = !bh->test(BH_Delay | BH_Unwritten);
	return 0;
}

int ext4_block_zero_page_range(handle_t *handle, inode *node, loff_t from, loff_t length,
			       bool *written)
{
	FRAME(ext4_block_zero_page_range);
	const auto size = static_cast<loff_t>(ext4_block_size());
	length = std::min(length, size - from % size);
	if (patched(Patch::kExt4Iomap))
		return ext4_iomap_block_zero_range(node, from, length, written);
	folio *f = __filemap_get_folio(node->i_mapping, static_cast<pgoff_t>(from) / page_size(),
				       FGP_WRITEBEGIN | FGP_ACCESSED);
	if (IS_ERR(f))
		return static_cast<int>(PTR_ERR(f));
	const int error = zero_in_folio(handle, f, from, length, written);
	folio_unlock(f);
	folio_put(f);
	return error;
}

int ext4_block_truncate_page(handle_t *handle, inode *node, loff_t from)
{
	FRAME(ext4_block_truncate_page);
	const auto size = static_cast<loff_t>(ext4_block_size());
	return ext4_block_zero_page_range(handle, node, from, size - from % size);
}

int ext4_block_zero_eof(inode *node, loff_t from, loff_t end, bool *zeroed)
{
	FRAME(ext4_block_zero_eof);
	const auto size = static_cast<loff_t>(ext4_block_size());
	if (from % size == 0 || from >= end)
		return 0;
	const loff_t length = std::min(size - from % size, end - from);
	bool written = false;
	const int error = ext4_block_zero_page_range(nullptr, node, from, length, &written);
	if (zeroed != nullptr)
		*zeroed = written;
	if (error != 0 || !written || !ext4_should_order_data() || patched(Patch::kExt4Iomap))
		return error;
	handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
	ext4_jbd2_inode_add_write(handle, node, from, length);
	ext4_journal_stop(handle);
	return 0;
}

int ext4_zero_partial_blocks(handle_t *handle, inode *node, loff_t start, loff_t len)
{
	const auto size = static_cast<loff_t>(ext4_block_size());
	const loff_t last = start + len - 1;
	const loff_t partial_start = start % size;
	const loff_t partial_end = last % size;
	if (start / size == last / size) {
		if (partial_start == 0 && partial_end == size - 1)
			return 0;
		return ext4_block_zero_page_range(handle, node, start, len);
	}
	int error = 0;
	if (partial_start != 0)
		error = ext4_block_zero_page_range(handle, node, start, size);
	if (error == 0 && partial_end != size - 1)
		error = ext4_block_zero_page_range(handle, node, last - partial_end,
						   partial_end + 1);
	return error;
}

/* Before the handle, and with iomap on the disk, too: a commit does not wait for it there. */
static int zero_before_truncate(inode *node, loff_t i_size)
{
	bool zeroed = false;
	const int error = ext4_block_zero_eof(node, i_size, LLONG_MAX_POS, &zeroed);
	if (error != 0 || !zeroed || !patched(Patch::kExt4Iomap))
		return error;
	const auto size = static_cast<loff_t>(ext4_block_size());
	const loff_t last = i_size - i_size % size + size - 1;
	return filemap_write_and_wait_range(node->i_mapping, i_size, last);
}

/* If the EOF block cannot be read to be zeroed, it goes on where that is done under the handle: what
 * is in the block then stays; else it leaves the blocks where they are. */
static int ext4_truncate(inode *node)
{
	FRAME(ext4_truncate);
	const auto size = static_cast<loff_t>(ext4_block_size());
	const loff_t i_size = node->i_size.load();
	const bool zero_first = patched(Patch::kExt4ZeroBeforeHandle);
	const int error = zero_first ? zero_before_truncate(node, i_size) : 0;
	if (error != 0)
		return error;
	handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
	if (!zero_first && i_size % size != 0)
		ext4_block_truncate_page(handle, node, i_size);
	ext4_inode *ei = EXT4_I(node);
	ei->i_data_sem.down_write();
	node->i_disksize.store(i_size);
	ext4_es_remove_extent(ei, static_cast<ext4_lblk_t>((i_size + size - 1) / size),
			      ~ext4_lblk_t{ 0 });
	ext4_mark_inode_dirty(handle, node);
	ei->i_data_sem.up_write();
	ext4_journal_stop(handle);
	return 0;
}

/* i_rwsem held for write. Sleeps. */
void ext4_truncate_failed_write(inode *node)
{
	FRAME(ext4_truncate_failed_write);
	address_space *mapping = node->i_mapping;
	filemap_invalidate_lock(mapping);
	truncate_inode_pages(mapping, node->i_size.load());
	ext4_truncate(node);
	filemap_invalidate_unlock(mapping);
}

/*
 * i_size and i_disksize change together under i_data_sem, against writeback that updates
 * i_disksize; then the cache, then the blocks. Shrinking first writes what a commit may be about to
 * write, and would not find any more. i_rwsem held for write.
 */
int ext4_setattr(inode *node, loff_t size)
{
	FRAME(ext4_setattr);
	address_space *mapping = node->i_mapping;
	const loff_t old_size = node->i_size.load();
	if (size < old_size && ext4_should_order_data()) {
		const int error = jbd2_journal_begin_ordered_truncate(
			EXT4_SB(node->i_sb)->s_journal, &EXT4_I(node)->jinode, size);
		if (error != 0)
			return error;
	}
	inode_dio_wait(node);
	filemap_invalidate_lock(mapping);
	const bool zero_first = patched(Patch::kExt4ZeroBeforeHandle);
	if (zero_first && size > old_size) {
		const int error = ext4_block_zero_eof(node, old_size, LLONG_MAX_POS);
		if (error != 0) {
			filemap_invalidate_unlock(mapping);
			return error;
		}
	}
	if (size != old_size) {
		handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
		const bool partial = old_size % static_cast<loff_t>(ext4_block_size()) != 0;
		if (size > old_size && partial && !zero_first && patched(Patch::kExt4ZeroOnExtend))
			ext4_block_truncate_page(handle, node, old_size);
		EXT4_I(node)->i_data_sem.down_write();
		node->i_disksize.store(size);
		i_size_write(node, size);
		EXT4_I(node)->i_data_sem.up_write();
		ext4_mark_inode_dirty(handle, node);
		ext4_journal_stop(handle);
		if (size > old_size)
			pagecache_isize_extended(node, old_size, size);
	}
	truncate_pagecache(node, size);
	const int error = size <= old_size ? ext4_truncate(node) : 0;
	filemap_invalidate_unlock(mapping);
	return error;
}

} // namespace kernel
