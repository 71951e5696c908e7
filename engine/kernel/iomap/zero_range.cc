// SPDX-License-Identifier: GPL-2.0-only
// Zeroing a range through the page cache (iomap_zero_range and iomap_truncate_page of
// fs/iomap/buffered-io.c, from 6.0 to 7.1).
//
// Lock order: i_rwsem (and invalidate_lock, but for a write behind the end of the file before
// 6.12) -> folio lock.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* filemap_range_has_writeback(), but for files that have nothing to write at all. */
bool filemap_range_needs_writeback(address_space *mapping, loff_t start, loff_t end)
{
	if (mapping->nrpages.load() == 0)
		return false;
	if (!xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY) &&
	    !xa_marked(&mapping->i_pages, PAGECACHE_TAG_WRITEBACK))
		return false;
	return filemap_range_has_writeback(mapping, start, end);
}

/* Zeroes what the iomap has of the range. Bytes, or an error. */
long iomap_zero_iter(iomap_iter *iter, bool *did_zero)
{
	std::uint64_t length = iomap_length(iter);
	loff_t pos = iter->pos;
	do {
		folio *f;
		const int status = iomap_zero_begin(iter, &pos, &length, &f);
		if (status != 0)
			return status;
		if (f == nullptr && (iter->map.flags & IOMAP_F_STALE) == 0) {
			/* The rest of the iomap has no dirty folios. */
			pos += static_cast<loff_t>(length);
			break;
		}
		if (f == nullptr)
			break;
		/* Writeback would throw it away. */
		VM_WARN_ON_ONCE(patched(Patch::kZeroPastEofWarn) &&
				folio_pos(f) > iter->node->i_size.look());
		const std::size_t offset = offset_in_folio(f, pos);
		const std::size_t bytes =
			std::min(static_cast<std::size_t>(length), folio_size(f) - offset);
		folio_zero_contents(f, offset, bytes);
		folio_mark_accessed(f);
		iomap_write_end(iter, pos, bytes, bytes, f);
		/* What lies behind the end of the file was zeroed as if it were written. */
		const loff_t end = pos + static_cast<loff_t>(bytes);
		if (!patched(Patch::kZeroKeepsIsize) && end > iter->node->i_size.load())
			i_size_write(iter->node, end);
		__iomap_put_folio(f);
		pos = end;
		length -= bytes;
	} while (length != 0);
	if (did_zero != nullptr)
		*did_zero = true;
	return pos - iter->pos;
}

/*
 * Data that is dirty over an unwritten extent, or a hole, is not on the disk yet, so that the iomap
 * says zeros where there are none. Writes it: then the extents tell. The iomap is stale after that.
 */
int iomap_zero_iter_flush_and_stale(iomap_iter *iter)
{
	const loff_t end = iter->pos + static_cast<loff_t>(iter->len) - 1;
	iter->map.flags |= IOMAP_F_STALE;
	return filemap_write_and_wait_range(iter->node->i_mapping, iter->pos, end);
}

} // namespace

/* Is this what the iomap reads as, so that nothing has to be zeroed unless something is dirty? */
static bool reads_as_zeros(const iomap_iter *iter)
{
	const iomap_type type = iomap_iter_srcmap(iter)->type;
	return (iter->map.flags & IOMAP_F_FOLIO_BATCH) == 0 &&
	       (type == iomap_type::HOLE || type == iomap_type::UNWRITTEN);
}

/*
 * The first bytes up to a block's end, if they are dirty, whatever the extent is: appends would flush
 * the last block of the file again and again. Bytes, or an error.
 */
static long zero_first_block(inode *node, loff_t pos, loff_t len, bool *did_zero,
			     const iomap_ops *ops)
{
	const loff_t in_block = pos % fs_block_size();
	if (in_block == 0)
		return 0;
	const loff_t count = std::min(len, fs_block_size() - in_block);
	if (!filemap_range_needs_writeback(node->i_mapping, pos, pos + count - 1))
		return 0;
	iomap_iter iter{ .node = node,
			 .ops = ops,
			 .pos = pos,
			 .len = static_cast<std::uint64_t>(count),
			 .flags = IOMAP_ZERO };
	int ret;
	while ((ret = iomap_iter_next(&iter)) > 0)
		iter.processed = iomap_zero_iter(&iter, did_zero);
	return ret != 0 ? ret : iter.pos - pos;
}

/*
 * What is unwritten or a hole reads as zeros, unless something is dirty over it. How that is found out
 * differs: not at all; writing back all of the range before, or when the first such extent is met; by
 * the dirty folios that begin has found over an unwritten extent, under the lock of the extents.
 */
int iomap_zero_range(inode *node, loff_t pos, loff_t len, bool *did_zero, const iomap_ops *ops)
{
	FRAME(iomap_zero_range);
	const bool flushes = patched(Patch::kZeroRangeFlush);
	const loff_t last = pos + len - 1;
	if (patched(Patch::kZeroRangeFlushAll) && !flushes) {
		const int error = filemap_write_and_wait_range(node->i_mapping, pos, last);
		if (error != 0)
			return error;
	}
	if (patched(Patch::kZeroRangeEofBlock) && !patched(Patch::kZeroRangeBatch)) {
		const long done = zero_first_block(node, pos, len, did_zero, ops);
		if (done < 0 || done == len)
			return std::min(static_cast<int>(done), 0);
		pos += done;
		len -= done;
	}
	folio_batch fbatch;
	iomap_iter iter{ .node = node,
			 .ops = ops,
			 .pos = pos,
			 .len = static_cast<std::uint64_t>(len),
			 .flags = IOMAP_ZERO };
	/* Where the batch is allocated, it may be missing: as before there were any. */
	if (patched(Patch::kZeroRangeBatch) &&
	    (patched(Patch::kZeroRangeBatchOnStack) || !should_fail("folio_batch")))
		iter.fbatch = &fbatch;
	bool range_dirty = flushes && filemap_range_needs_writeback(node->i_mapping, pos, last);
	int ret;
	while ((ret = iomap_iter_next(&iter)) > 0) {
		if (!reads_as_zeros(&iter)) {
			iter.processed = iomap_zero_iter(&iter, did_zero);
			continue;
		}
		iter.processed = static_cast<long>(iomap_length(&iter));
		if (!range_dirty || (patched(Patch::kZeroRangeNoHoleFlush) &&
				     iomap_iter_srcmap(&iter)->type == iomap_type::HOLE))
			continue;
		range_dirty = false;
		iter.processed = iomap_zero_iter_flush_and_stale(&iter);
	}
	for (unsigned i = iter.next_folio; iter.fbatch != nullptr && i < fbatch.nr; i++)
		folio_put(fbatch.folios[i]);
	return ret;
}

loff_t iomap_fill_dirty_folios(inode *node, loff_t pos, loff_t end, iomap *map)
{
	FRAME(iomap_fill_dirty_folios);
	if (map->fbatch == nullptr)
		return end;
	pgoff_t index = static_cast<pgoff_t>(pos) / page_size();
	filemap_get_folios_dirty(node->i_mapping, &index,
				 static_cast<pgoff_t>(end - 1) / page_size(), map->fbatch);
	map->flags |= IOMAP_F_FOLIO_BATCH;
	return std::min(end, static_cast<loff_t>(index * page_size()));
}

int iomap_truncate_page(inode *node, loff_t pos, bool *did_zero, const iomap_ops *ops)
{
	FRAME(iomap_truncate_page);
	const loff_t in_block = pos % fs_block_size();
	if (in_block == 0)
		return 0;
	return iomap_zero_range(node, pos, fs_block_size() - in_block, did_zero, ops);
}

} // namespace kernel
