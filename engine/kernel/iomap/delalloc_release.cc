// SPDX-License-Identifier: GPL-2.0-only
// What becomes of a reservation that a short write did not use (iomap_write_delalloc_release and
// what it calls, fs/iomap/buffered-io.c of 6.12).
//
// The reservation goes where nothing dirty is cached, and stays where something is. What is not dirty
// cannot become so: i_rwsem keeps writers out, invalidate_lock page faults; reclaim only removes,
// writeback only cleans. Who makes folios dirty without either (pinned pages) is not kept out.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> the filesystem's.
#include <unistd.h>

#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

struct release_scan {
	inode *node;
	const iomap *map;
	iomap_punch punch;
	loff_t punch_start; /* from here on nothing is decided yet */
};

/* The folio is dirty; blocks of it between start and end that are not lose their reservation. */
void iomap_write_delalloc_ifs_punch(const release_scan *scan, folio *f, loff_t start, loff_t end)
{
	FRAME(iomap_write_delalloc_ifs_punch);
	const iomap_folio_state *ifs = ifs_of(f);
	if (ifs == nullptr || !patched(Patch::kPunchCleanSubblocks))
		return;
	const loff_t pos = folio_pos(f);
	const loff_t last = std::min(end, pos + static_cast<loff_t>(folio_size(f))) - 1;
	for (loff_t i = (start - pos) / fs_block_size(); i <= (last - pos) / fs_block_size(); i++) {
		if (!ifs_block_is_dirty(ifs, static_cast<unsigned>(i)))
			scan->punch(scan->node, pos + i * fs_block_size(), fs_block_size(),
				    scan->map);
	}
}

/* Folio lock held. */
void iomap_write_delalloc_punch(release_scan *scan, folio *f, loff_t start, loff_t end)
{
	FRAME(iomap_write_delalloc_punch);
	if (!folio_test_dirty(f))
		return;
	if (start > scan->punch_start)
		scan->punch(scan->node, scan->punch_start, start - scan->punch_start, scan->map);
	iomap_write_delalloc_ifs_punch(scan, f, start, end);
	scan->punch_start = std::min(end, folio_pos(f) + static_cast<loff_t>(folio_size(f)));
}

/* The cache has something at all of [start, end), or had. */
void iomap_write_delalloc_scan(release_scan *scan, loff_t start, loff_t end)
{
	FRAME(iomap_write_delalloc_scan);
	const loff_t page = page_size();
	while (start < end) {
		folio *f = filemap_lock_folio(scan->node->i_mapping,
					      static_cast<pgoff_t>(start / page));
		if (IS_ERR(f)) {
			start = start / page * page + page;
			continue;
		}
		iomap_write_delalloc_punch(scan, f, start, end);
		start = static_cast<loff_t>(folio_next_index(f)) * page;
		folio_unlock(f);
		folio_put(f);
	}
}

} // namespace

loff_t iomap_unused_start(loff_t pos, long written)
{
	return written == 0 ? round_down_to_block(pos) : round_up_to_block(pos + written);
}

loff_t iomap_unused_end(loff_t pos, std::uint64_t length)
{
	return round_up_to_block(pos + static_cast<loff_t>(length));
}

void iomap_write_delalloc_release(inode *node, loff_t start, loff_t end, const iomap *map,
				  iomap_punch punch)
{
	FRAME(iomap_write_delalloc_release);
	release_scan scan{ node, map, punch, start };
	/* Writeback looks at nothing behind the end of the file: no dirt there keeps blocks. */
	const loff_t limit = patched(Patch::kScanEofLimit) ? std::min(i_size_read(node), end) : end;
	while (start < limit) {
		start = mapping_seek_hole_data(node->i_mapping, start, limit, SEEK_DATA);
		if (start == -ENXIO || start == limit)
			break;
		const loff_t data_end =
			mapping_seek_hole_data(node->i_mapping, start, limit, SEEK_HOLE);
		/* The folio has just left the cache: the next search goes behind it. */
		if (data_end == start && patched(Patch::kScanRetryEqual))
			continue;
		VM_WARN_ON_ONCE(data_end <= start);
		VM_WARN_ON_ONCE(data_end > limit);
		iomap_write_delalloc_scan(&scan, start, data_end);
		start = data_end;
	}
	if (scan.punch_start < end)
		punch(node, scan.punch_start, end - scan.punch_start, map);
}

} // namespace kernel
