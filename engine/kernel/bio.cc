// SPDX-License-Identifier: GPL-2.0-only
// Users' pages in requests of direct I/O: getting them, making them dirty before the device stores to
// them and again after, giving them back (block/bio.c of 6.12).
//
// Left out: merging of pages that lie side by side, bouncing, requests that are limited in length.
//
// Lock order: folio lock alone; bio_dirty_lock is innermost.
#include <utility>

#include "engine/kernel/block.h"
#include "engine/kernel/gup.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/uio.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

long bio_iov_iter_get_pages(bio *request, user_buffer *buffer, std::size_t len)
{
	FRAME(bio_iov_iter_get_pages);
	return buffer->extract(request, len);
}

static void lock_and_mark_dirty(folio *f)
{
	folio_lock(f);
	folio_mark_dirty(f);
	folio_unlock(f);
}

void bio_release_pages(bio *request, bool mark_dirty)
{
	FRAME(__bio_release_pages);
	for (const bio_vec &part : request->bi_io_vec) {
		if (mark_dirty)
			lock_and_mark_dirty(part.bv_folio);
		const gup_page page{ part.bv_folio, 0 };
		if (request->pinned)
			unpin_user_page(page);
		else
			put_user_pages(&page, 1);
	}
}

void bio_set_pages_dirty(bio *request)
{
	FRAME(bio_set_pages_dirty);
	for (const bio_vec &part : request->bi_io_vec)
		lock_and_mark_dirty(part.bv_folio);
}

/*
 * What is dirty now will be written after now, with all that was stored. A folio that was cleaned since
 * bio_set_pages_dirty() may have been written before the device stored to it.
 */
void bio_check_pages_dirty(bio *request)
{
	FRAME(bio_check_pages_dirty);
	for (const bio_vec &part : request->bi_io_vec) {
		if (folio_test_dirty(part.bv_folio))
			continue;
		block_device *bdev = this_machine().sb->s_bdev;
		bdev->bio_dirty_lock.lock();
		request->bi_next = std::exchange(bdev->bio_dirty_list, request);
		bdev->bio_dirty_lock.unlock();
		bdev->bio_dirty_work.wake_up();
		return;
	}
	bio_release_pages(request, false);
	delete request;
}

/* All that are waiting, or null. */
static bio *take_dirty_bios(block_device *bdev)
{
	bdev->bio_dirty_lock.lock();
	bio *list = std::exchange(bdev->bio_dirty_list, nullptr);
	bdev->bio_dirty_lock.unlock();
	return list;
}

void bio_dirty_fn()
{
	FRAME(bio_dirty_fn);
	block_device *bdev = this_machine().sb->s_bdev;
	for (;;) {
		bio *list = nullptr;
		bdev->bio_dirty_work.wait_event(
			[&] { return (list = take_dirty_bios(bdev)) != nullptr; });
		while (list != nullptr) {
			bio *request = std::exchange(list, list->bi_next);
			bio_release_pages(request, true);
			delete request;
		}
	}
}

} // namespace kernel
