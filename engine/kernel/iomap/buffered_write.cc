// SPDX-License-Identifier: GPL-2.0-only
// Buffered writes (iomap_file_buffered_write of fs/iomap/buffered-io.c, 6.12).
//
// Left out: IOCB_NOWAIT, signals, a write larger than a page in one folio (see write_begin.cc).
//
// Lock order: i_rwsem -> folio lock.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/uaccess.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

struct source {
	const unsigned char *bytes;
	std::size_t left;
};

/* A copy of which nothing was taken. */
struct attempt {
	loff_t pos = -1;
	std::size_t bytes = 0;
	std::size_t copied = 0;
	std::size_t chunk = 0;

	bool operator==(const attempt &) const = default;
};

/*
 * What can be read of a buffer does not change, so that the same copy fails again, unless it failed by
 * injection.
 */
void check_progress(attempt *last, const attempt &now, const unsigned char *from)
{
	if (*last == now && now.copied == readable_bytes(from, now.bytes))
		no_progress("short copy",
			    "a copy ended where the buffer cannot be read, was of no use, "
			    "and was tried again as it was");
	*last = now;
}

/* What a begin put behind the end of the file, for a piece that was not written. */
void iomap_write_failed(inode *node, loff_t pos, std::size_t len)
{
	const loff_t size = i_size_read(node);
	const loff_t end = pos + static_cast<loff_t>(len);
	if (end > size)
		truncate_pagecache_range(node, std::max(pos, size), end - 1);
}

/*
 * The file may have grown; the folio is locked still, so that writeback, which zeroes what lies
 * behind the end, sees the new one. Returns the size before.
 */
loff_t publish_size(inode *node, loff_t end)
{
	const loff_t old_size = node->i_size.load();
	if (end > old_size)
		i_size_write(node, end);
	return old_size;
}

/* Writes what the iomap has of the source. Bytes, or an error if there are none. */
long iomap_write_iter(iomap_iter *iter, source *from)
{
	address_space *mapping = iter->node->i_mapping;
	const bool large =
		patched(Patch::kWriteLargeChunks) && mapping_large_folio_support(mapping);
	std::size_t chunk = large ? page_size() * hpage_pages() : page_size();
	std::uint64_t length = iomap_length(iter);
	std::size_t limit = from->left; /* less after a short copy that was of no use */
	loff_t pos = iter->pos;
	long written = 0;
	long status = 0;
	attempt last;

	do {
		folio *f = nullptr;
		const std::size_t within = static_cast<std::size_t>(pos) & (chunk - 1);
		std::size_t bytes = std::min(
			{ chunk - within, limit, from->left, static_cast<std::size_t>(length) });
		limit = from->left;
		balance_dirty_pages_ratelimited_flags(mapping);
		if (fault_in_readable(from->bytes, bytes) == bytes) {
			status = -EFAULT;
			break;
		}
		status = iomap_write_begin(iter, pos, bytes, &f);
		if (status != 0)
			iomap_write_failed(iter->node, pos,
					   patched(Patch::kFailedBeginKeepsTail) ? 0 : bytes);
		if (status != 0 || f == nullptr)
			break;

		const std::size_t offset = offset_in_folio(f, pos);
		bytes = std::min(bytes, folio_size(f) - offset);
		const std::size_t copied =
			copy_folio_from_iter_atomic(f, offset, from->bytes, bytes);
		const std::size_t done = iomap_write_end(iter, pos, bytes, copied, f) ? copied : 0;
		const loff_t old_size =
			done == 0 ? pos : publish_size(iter->node, pos + static_cast<loff_t>(done));
		__iomap_put_folio(f);
		if (old_size < pos)
			pagecache_isize_extended(iter->node, old_size, pos);
		if (done == 0) {
			iomap_write_failed(iter->node, pos, bytes);
			check_progress(&last, { pos, bytes, copied, chunk }, from->bytes);
			if (chunk > page_size())
				chunk /= 2;
			if (copied != 0 && (!patched(Patch::kWriteLargeChunks) ||
					    patched(Patch::kShortCopyRetriesLess)))
				limit = copied;
			continue;
		}
		pos += static_cast<loff_t>(done);
		written += static_cast<long>(done);
		length -= done;
		from->bytes += done;
		from->left -= done;
	} while (from->left != 0 && length != 0);

	return written != 0 ? written : status;
}

} // namespace

long iomap_file_buffered_write(file *f, loff_t pos, const void *from, std::size_t len,
			       const iomap_ops *ops)
{
	FRAME(iomap_file_buffered_write);
	source data{ static_cast<const unsigned char *>(from), len };
	iomap_iter iter{
		.node = f->f_inode, .ops = ops, .pos = pos, .len = len, .flags = IOMAP_WRITE
	};
	int ret;
	while ((ret = iomap_iter_next(&iter)) > 0)
		iter.processed = iomap_write_iter(&iter, &data);
	if (ret < 0 && patched(Patch::kWriteUpdatesPos) && !patched(Patch::kPartialWriteCounts))
		return ret;
	return iter.pos == pos ? ret : iter.pos - pos;
}

} // namespace kernel
