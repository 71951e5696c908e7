// SPDX-License-Identifier: GPL-2.0-only
// Writing what is there already, so that it is shared no more (iomap_file_unshare of
// fs/iomap/buffered-io.c, 6.12). The folio is read, since nobody overwrites it, and becomes dirty.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock.
#include <algorithm>

#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

/* Bytes of the iomap that are done, or an error. */
static long iomap_unshare_iter(iomap_iter *iter)
{
	loff_t pos = iter->pos;
	std::uint64_t length = iomap_length(iter);
	/* Not shared, or nothing to copy. */
	if ((iter->map.flags & IOMAP_F_SHARED) == 0 ||
	    iomap_iter_srcmap(iter)->type != iomap_type::MAPPED)
		return static_cast<long>(length);
	do {
		folio *f;
		const auto wanted =
			static_cast<std::size_t>(std::min<std::uint64_t>(length, SIZE_MAX / 2));
		const int status = iomap_write_begin(iter, pos, wanted, &f);
		if (status != 0)
			return status;
		if (f == nullptr)
			break; /* stale */
		const std::size_t offset = offset_in_folio(f, pos);
		const std::size_t bytes = std::min(wanted, folio_size(f) - offset);
		iomap_write_end(iter, pos, bytes, bytes, f);
		__iomap_put_folio(f);
		pos += static_cast<loff_t>(bytes);
		length -= bytes;
		balance_dirty_pages_ratelimited_flags(iter->node->i_mapping);
	} while (length != 0);
	return pos - iter->pos;
}

int iomap_file_unshare(inode *node, loff_t pos, loff_t len, const iomap_ops *ops)
{
	FRAME(iomap_file_unshare);
	const loff_t size = i_size_read(node);
	if (pos < 0 || pos >= size)
		return 0;
	iomap_iter iter{ .node = node,
			 .ops = ops,
			 .pos = pos,
			 .len = static_cast<std::uint64_t>(std::min(len, size - pos)),
			 .flags = IOMAP_WRITE | IOMAP_UNSHARE };
	int ret;
	while ((ret = iomap_iter_next(&iter)) > 0)
		iter.processed = iomap_unshare_iter(&iter);
	return ret;
}

} // namespace kernel
