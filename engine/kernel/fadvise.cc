// SPDX-License-Identifier: GPL-2.0-only
// posix_fadvise(2) (mm/fadvise.c and force_page_cache_readahead of mm/readahead.c, 6.12).
//
// Left out: POSIX_FADV_RANDOM and POSIX_FADV_NOREUSE (-EOPNOTSUPP): no file of the port has the
// mode bits that they set.
#include <fcntl.h>

#include <algorithm>

#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

/* Reads pages [index, index + nr) in, a window at a time, not beyond the end of the file. May
 * sleep: takes invalidate_lock shared. */
static void force_page_cache_readahead(address_space *mapping, file *f, pgoff_t index, pgoff_t nr)
{
	touch_ra_state(&f->f_ra);
	const pgoff_t window = std::max(f->f_ra.ra_pages, 1u);

	for (; nr != 0; nr -= std::min(nr, window), index += window) {
		readahead_control ractl{ .f = f, .mapping = mapping, .index = index };
		force_page_cache_ra(&ractl, &f->f_ra, std::min(nr, window));
	}
}

/*
 * Starts writeback of the range, then drops the whole pages of it that are clean, unmapped and
 * unused by then. May sleep.
 */
static void drop_range(file *f, loff_t offset, loff_t last_byte)
{
	address_space *mapping = f->f_mapping;
	const loff_t mask = page_size() - 1;

	__filemap_fdatawrite_range(mapping, offset, last_byte, WB_SYNC_NONE);

	const pgoff_t start = static_cast<pgoff_t>(offset + mask) >> page_shift();
	pgoff_t end = static_cast<pgoff_t>(last_byte) >> page_shift();
	/* The last page stays unless the range covers it, or what the file has of it. */
	if ((last_byte & mask) != mask && last_byte != f->f_inode->i_size.load() - 1) {
		if (end == 0)
			return;
		--end;
	}
	if (end < start)
		return;

	unsigned long nr_failed = 0;
	lru_add_drain();
	mapping_try_invalidate(mapping, start, end, &nr_failed);
	/* Another CPU's batch may hold references. */
	if (nr_failed != 0) {
		lru_add_drain_all();
		invalidate_mapping_pages(mapping, start, end);
	}
}

/* 0, or -EINVAL, -ESPIPE, -EOPNOTSUPP. len 0 is "to the end". May sleep. */
int vfs_fadvise(file *f, loff_t offset, loff_t len, int advice)
{
	FRAME(generic_fadvise);

	if (!f->f_inode->regular)
		return -ESPIPE;
	if (offset < 0 || len < 0)
		return -EINVAL;
	const bool to_the_end = len == 0 || offset > LLONG_MAX_POS - len;
	const loff_t last_byte = to_the_end ? LLONG_MAX_POS : offset + len - 1;

	touch_ra_state(&f->f_ra);
	switch (advice) {
	case POSIX_FADV_NORMAL:
		f->f_ra.ra_pages = this_machine().geo.ra_pages;
		return 0;
	case POSIX_FADV_SEQUENTIAL:
		f->f_ra.ra_pages = this_machine().geo.ra_pages * 2;
		return 0;
	case POSIX_FADV_WILLNEED: {
		const pgoff_t start = static_cast<pgoff_t>(offset) >> page_shift();
		const pgoff_t end = static_cast<pgoff_t>(last_byte) >> page_shift();
		force_page_cache_readahead(f->f_mapping, f, start, end - start + 1);
		return 0;
	}
	case POSIX_FADV_DONTNEED:
		drop_range(f, offset, last_byte);
		return 0;
	case POSIX_FADV_RANDOM:
	case POSIX_FADV_NOREUSE:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

} // namespace kernel
