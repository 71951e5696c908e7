// SPDX-License-Identifier: GPL-2.0-only
// Writeback (fs/iomap/buffered-io.c of 6.12: iomap_writepages and what it calls).
//
// Left out: inline data, the limit of pages in one request, IOMAP_F_ANON_WRITE, cgroups.
//
// Lock order: folio lock -> the filesystem's.
#include "engine/kernel/writeback.h"

#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/ioend.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/*
 * False: all of the folio lies behind the end of the file, which truncate has moved. What a mapping
 * stored behind the end becomes zeros. The size is read here and nowhere else while the folio is
 * written: an append that comes later is not part of it.
 */
bool iomap_writepage_handle_eof(folio *f, const inode *node, loff_t *end_pos)
{
	const loff_t size = i_size_read(node);
	if (*end_pos <= size)
		return true;
	if (folio_pos(f) >= size)
		return false;
	const std::size_t used = offset_in_folio(f, size);
	folio_zero_contents(f, used, folio_size(f) - used);
	*end_pos = size;
	return true;
}

/* Dirty bytes of the folio; `count` becomes how many pieces there are to write. 0 or an error. */
int iomap_writepage_map_blocks(iomap_writepage_ctx *wpc, folio *f, loff_t pos, loff_t end_pos,
			       std::size_t len, unsigned *count)
{
	inode *node = f->mapping.load()->host;
	int error = 0;
	do {
		error = wpc->ops->map_blocks(wpc, node, pos, len);
		if (error != 0)
			break;
		const loff_t behind = wpc->map.offset + static_cast<loff_t>(wpc->map.length);
		const std::size_t piece = std::min(len, static_cast<std::size_t>(behind - pos));
		/* Nothing was reserved: who made the block dirty will say more, or truncate has
		 * taken it. */
		if (wpc->map.type != iomap_type::HOLE) {
			iomap_add_to_ioend(wpc, f, pos, end_pos, piece);
			++*count;
		}
		pos += static_cast<loff_t>(piece);
		len -= piece;
	} while (len != 0);
	if (error != 0 && wpc->ops->discard_folio != nullptr)
		wpc->ops->discard_folio(f, pos);
	return error;
}

/* All dirty blocks of the folio that the file has. */
int map_dirty_ranges(iomap_writepage_ctx *wpc, folio *f, loff_t end_pos, unsigned *count)
{
	loff_t pos = folio_pos(f);
	const loff_t end_aligned = round_up_to_block(end_pos);
	while (const std::size_t len = iomap_find_dirty_range(f, &pos, end_aligned)) {
		const int error = iomap_writepage_map_blocks(wpc, f, pos, end_pos, len, count);
		if (error != 0)
			return error;
		pos += static_cast<loff_t>(len);
	}
	return 0;
}

void set_error(folio *f, const address_space *mapping, int error)
{
	if (error == 0)
		return;
	mapping_set_error(const_cast<address_space *>(mapping), error);
	this_machine().watcher->write_error(
		*mapping->host, static_cast<loff_t>(f->index.peek() * page_size()), folio_size(f));
}

/*
 * Since 6.9: PG_writeback is set first, since a request may go, and end, while the folio is still
 * locked; write_bytes_pending is one too high till the end.
 */
int writepage_map_early(iomap_writepage_ctx *wpc, folio *f, loff_t end_pos)
{
	address_space *mapping = f->mapping.load();
	iomap_folio_state *ifs = ifs_of(f);
	if (ifs != nullptr) {
		VM_WARN_ON_ONCE(ifs->write_bytes_pending.look() != 0);
		ifs->write_bytes_pending.inc();
	}
	folio_start_writeback(f);
	unsigned count = 0;
	const int error = map_dirty_ranges(wpc, f, end_pos, &count);
	iomap_clear_range_dirty(f, 0, folio_size(f));
	set_error(f, mapping, error);
	folio_unlock(f);
	const bool done = ifs != nullptr ? ifs->write_bytes_pending.dec_and_test() : count == 0;
	if (done)
		folio_end_writeback(f);
	return error;
}

/*
 * Before 6.9: PG_writeback after the blocks are known, requests when the folio is unlocked. A folio
 * of which nothing could be mapped kept its dirty blocks, but not PG_dirty.
 */
int writepage_map_late(iomap_writepage_ctx *wpc, folio *f, loff_t end_pos)
{
	address_space *mapping = f->mapping.load();
	unsigned count = 0;
	const int error = map_dirty_ranges(wpc, f, end_pos, &count);
	set_error(f, mapping, error);
	if (error != 0 && count == 0) {
		if (patched(Patch::kMapFailureClearsBits))
			iomap_clear_range_dirty(f, 0, folio_size(f));
		folio_unlock(f);
		return error;
	}
	iomap_clear_range_dirty(f, 0, folio_size(f));
	folio_start_writeback(f);
	folio_unlock(f);
	for (iomap_ioend *ioend : wpc->full)
		iomap_submit(wpc->ops, ioend, 0);
	wpc->full.clear();
	if (count == 0)
		folio_end_writeback(f);
	return error;
}

/* The folio comes locked and without PG_dirty, and goes unlocked. 0 or an error. Sleeps. */
int iomap_writepage_map(folio *f, writeback_control *, void *data)
{
	FRAME(iomap_writepage_map);
	auto *wpc = static_cast<iomap_writepage_ctx *>(data);
	const loff_t pos = folio_pos(f);
	loff_t end_pos = pos + static_cast<loff_t>(folio_size(f));
	if (!iomap_writepage_handle_eof(f, f->mapping.load()->host, &end_pos)) {
		folio_unlock(f);
		return 0;
	}
	if (i_blocks_per_folio(f) > 1 && ifs_of(f) == nullptr) {
		ifs_alloc(f);
		iomap_set_range_dirty(f, 0, static_cast<std::size_t>(end_pos - pos));
	}
	return patched(Patch::kWritebackBitEarly) ? writepage_map_early(wpc, f, end_pos)
						  : writepage_map_late(wpc, f, end_pos);
}

} // namespace

int iomap_writepages(address_space *mapping, writeback_control *wbc, iomap_writepage_ctx *wpc)
{
	FRAME(iomap_writepages);
	const int error = write_cache_pages(mapping, wbc, iomap_writepage_map, wpc);
	iomap_submit_ioend(wpc, error);
	return error;
}

} // namespace kernel
