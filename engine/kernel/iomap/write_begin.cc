// SPDX-License-Identifier: GPL-2.0-only
// Getting a folio ready for a write, and taking in what was copied (fs/iomap/buffered-io.c of 6.12:
// iomap_write_begin, iomap_write_end and what they call).
//
// Left out: inline data, buffer heads, IOMAP_NOWAIT, IOMAP_F_BUFFER_HEAD, large folios made by a
// write (folios come one page large; a collapse makes large ones). Before 6.10 a failed begin also
// took what it had put behind the end of the file out of the cache; here it never does.
//
// Lock order: i_rwsem -> folio lock.
#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/iomap/read.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/completion.h"

namespace kernel
{

namespace
{

folio *iomap_get_folio(const iomap_iter *iter, loff_t pos)
{
	FRAME(iomap_get_folio);
	return __filemap_get_folio(iter->node->i_mapping, static_cast<pgoff_t>(pos) / page_size(),
				   FGP_WRITEBEGIN);
}

struct sync_read {
	interleaf::Completion done{ "block read" };
	int status = 0;
};

void end_sync_read(bio *request)
{
	auto *waiter = static_cast<sync_read *>(request->private_data);
	waiter->status = request->status;
	delete request;
	waiter->done.complete();
}

/* Reads blocks of the locked folio and waits. 0, -EIO. */
int iomap_read_folio_sync(const iomap_iter *iter, folio *f, loff_t pos, std::size_t off,
			  std::size_t len)
{
	FRAME(iomap_read_folio_sync);
	sync_read waiter;
	const iomap *srcmap = iomap_iter_srcmap(iter);
	bio *request = iomap_read_bio(iter->node, srcmap, pos);
	iomap_read_bio_add(request, f, off, len, srcmap, pos);
	request->end_io = end_sync_read;
	request->private_data = &waiter;
	submit_bio(request);
	waiter.done.wait();
	return waiter.status;
}

/* The bytes of [off, off + len) that the write of [from, to) does not overwrite. */
void zero_around(folio *f, std::size_t off, std::size_t from, std::size_t to, std::size_t end)
{
	if (off < from)
		folio_zero_contents(f, off, std::min(from, end) - off);
	if (to < end)
		folio_zero_contents(f, std::max(to, off), end - std::max(to, off));
}

/* What the bytes [pos, pos + len) share blocks with must be there first. Folio lock held. */
int __iomap_write_begin(const iomap_iter *iter, loff_t pos, std::size_t len, folio *f)
{
	const std::size_t from = offset_in_folio(f, pos);
	const std::size_t to = from + len;
	loff_t block = round_down_to_block(pos);
	const loff_t end = round_up_to_block(pos + static_cast<loff_t>(len));

	/* All of it is overwritten: its blocks become uptodate together. Who unshares overwrites
	 * nothing. */
	const bool overwrites = (iter->flags & IOMAP_UNSHARE) == 0;
	const bool looks_at_blocks = !overwrites && (!patched(Patch::kWholeFolioUnread) ||
						     patched(Patch::kUnshareReads));
	if (!looks_at_blocks && from == 0 && to == folio_size(f))
		return 0;
	ifs_alloc(f);
	if (folio_test_uptodate(f))
		return 0;
	do {
		std::size_t off;
		std::size_t count;
		iomap_adjust_read_range(iter->node, f, &block,
					static_cast<std::size_t>(end - block), &off, &count);
		if (count == 0)
			break;
		const bool cut = !overwrites || (from > off && from < off + count) ||
				 (to > off && to < off + count);
		if (cut) {
			if (iomap_block_needs_zeroing(iter, block)) {
				VM_WARN_ON_ONCE(!overwrites);
				zero_around(f, off, from, to, off + count);
			} else {
				const int error = iomap_read_folio_sync(iter, f, block, off, count);
				if (error != 0)
					return error;
			}
			iomap_set_range_uptodate(f, off, count);
		}
		block += static_cast<loff_t>(count);
	} while (block < end);
	return 0;
}

} // namespace

void __iomap_put_folio(folio *f)
{
	FRAME(__iomap_put_folio);
	folio_unlock(f);
	folio_put(f);
}

/* The folio comes locked; it is *foliop then, or unlocked. */
static int prepare_folio(iomap_iter *iter, folio *f, loff_t pos, std::size_t len, folio **foliop)
{
	/*
	 * Writeback may have given the blocks to the folio that was here, and reclaim have taken
	 * that: then they hold data now, and are not to be zeroed. With the folio locked they cannot
	 * change any more:
	 *
	 *   write                              writeback                     reclaim
	 *   1 begin: extents, cookie           A writes the folio
	 *   2 lock a new folio                 B converts, counts if_seq up
	 *   3 cookie as before?                C ends writeback              D removes the folio
	 *   4 zero or read
	 */
	if (patched(Patch::kWriteValidity) && iter->ops->iomap_valid != nullptr &&
	    !iter->ops->iomap_valid(iter->node, &iter->map)) {
		iter->map.flags |= IOMAP_F_STALE;
		iter->refused = true;
		iter->refused_cookie = iter->map.validity_cookie;
		__iomap_put_folio(f);
		return 0;
	}
	len = std::min(len, folio_size(f) - offset_in_folio(f, pos));
	const int error = __iomap_write_begin(iter, pos, len, f);
	if (error != 0) {
		__iomap_put_folio(f);
		return error;
	}
	*foliop = f;
	return 0;
}

int iomap_write_begin(iomap_iter *iter, loff_t pos, std::size_t len, folio **foliop)
{
	FRAME(iomap_write_begin);
	*foliop = nullptr;
	folio *f = iomap_get_folio(iter, pos);
	if (IS_ERR(f))
		return static_cast<int>(PTR_ERR(f));
	return prepare_folio(iter, f, pos, len, foliop);
}

/* The next folio of the batch, locked, or null: none is left, or it was truncated, which makes the
 * iomap stale. The batch's reference goes with it. Sleeps. */
static folio *next_batch_folio(iomap_iter *iter)
{
	if (iter->next_folio == iter->fbatch->nr)
		return nullptr;
	folio *f = iter->fbatch->folios[iter->next_folio++];
	folio_lock(f);
	if (f->mapping.load() != iter->node->i_mapping) {
		iter->map.flags |= IOMAP_F_STALE;
		__iomap_put_folio(f);
		return nullptr;
	}
	if (patched(Patch::kZeroRangeBatchStable))
		folio_wait_stable(f);
	return f;
}

int iomap_zero_begin(iomap_iter *iter, loff_t *pos, std::uint64_t *length, folio **foliop)
{
	if ((iter->map.flags & IOMAP_F_FOLIO_BATCH) == 0)
		return iomap_write_begin(iter, *pos, static_cast<std::size_t>(*length), foliop);
	FRAME(iomap_write_begin);
	*foliop = nullptr;
	folio *f = next_batch_folio(iter);
	if (f == nullptr)
		return 0;
	/* Between the folios of a batch nothing is dirty, and the extent reads as zeros. */
	const loff_t skip = folio_pos(f) - *pos;
	if (skip > 0) {
		const std::uint64_t count = std::min(static_cast<std::uint64_t>(skip), *length);
		*pos += static_cast<loff_t>(count);
		*length -= count;
		if (*length == 0) {
			__iomap_put_folio(f);
			return 0;
		}
	}
	return prepare_folio(iter, f, *pos, static_cast<std::size_t>(*length), foliop);
}

bool iomap_write_end(const iomap_iter *iter, loff_t pos, std::size_t len, std::size_t copied,
		     folio *f)
{
	FRAME(iomap_write_end);
	/* Blocks that the copy should have filled have nothing else in them. */
	if (copied < len && !folio_test_uptodate(f))
		return false;
	iomap_set_range_uptodate(f, offset_in_folio(f, pos), len);
	if (copied != 0)
		iomap_set_range_dirty(f, offset_in_folio(f, pos), copied);
	filemap_dirty_folio(iter->node->i_mapping, f);
	return true;
}

} // namespace kernel
