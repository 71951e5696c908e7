// SPDX-License-Identifier: GPL-2.0-only
// The disk and its only driver. Stands for block/ and drivers/block/ of 6.12, of which nothing is
// kept but what a filesystem can see: submission returns at once, requests end later, in any
// order, in a task that may sleep (a workqueue, as ext4 and XFS use for their completions).
//
// Left out: plugging, merging and splitting of requests, FUA, partial completion. A request ends when all its blocks
// are transferred, one after the other; a block is written whole.
//
// Lock: queue_lock, innermost.
#include "engine/kernel/block.h"

#include <algorithm>
#include <cstring>

#include "engine/kernel/errno.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass queue_lock_class{ "queue_lock" };
constexpr interleaf::LockClass bio_dirty_lock_class{ "bio_dirty_lock" };

/* The block as it is to be overwritten; the immutable base image is left alone. */
unsigned char *own_block(block_device *bdev, std::uint64_t block)
{
	if (block >= bdev->data.size())
		bdev->data.resize(block + 1);
	if (block >= bdev->own.size())
		bdev->own.resize(block + 1);
	if (bdev->own[block] == nullptr) {
		bdev->own[block] = new unsigned char[bdev->block_size];
		bdev->data[block] = bdev->own[block];
	}
	return bdev->own[block];
}

/* Calls visit(folio, offset in it, bytes of the request before it, disk block) for each block. */
template <typename Visit>
void for_each_block(const block_device *bdev, const bio *request, Visit visit)
{
	std::size_t done = 0;
	for (const bio_vec &part : request->bi_io_vec) {
		for (std::size_t at = 0; at < part.bv_len; at += bdev->block_size) {
			visit(part.bv_folio, part.bv_offset + at, done,
			      request->blocks[done / bdev->block_size]);
			done += bdev->block_size;
		}
	}
}

void transfer_read(const block_device *bdev, const bio *request)
{
	FRAME(bio_transfer_read);
	std::vector<unsigned char> bytes(bdev->block_size);
	for_each_block(bdev, request,
		       [&](folio *f, std::size_t offset, std::size_t, std::uint64_t block) {
			       bdev->media.read();
			       disk_peek(bdev, block, bytes.data());
			       folio_write_contents(f, offset, bytes.data(), bytes.size());
		       });
}

void transfer_write(block_device *bdev, const bio *request)
{
	FRAME(bio_transfer_write);
	observer *watcher = this_machine().watcher;
	std::vector<unsigned char> bytes(bdev->block_size);
	for_each_block(
		bdev, request,
		[&](const folio *f, std::size_t offset, std::size_t done, std::uint64_t block) {
			folio_read_contents(f, offset, bytes.data(), bytes.size());
			bdev->media.inc();
			std::memcpy(own_block(bdev, block), bytes.data(), bytes.size());
			watcher->disk_wrote(block, bytes.data());
			watcher->block_written(*request->owner,
					       request->pos + static_cast<loff_t>(done),
					       bdev->block_size);
		});
}

/* The block is read at once; it reaches the page in two halves. */
void transfer_direct_read(const block_device *bdev, const bio *request)
{
	FRAME(bio_transfer_direct_read);
	const std::size_t half = bdev->block_size / 2;
	for_each_block(bdev, request,
		       [&](folio *f, std::size_t offset, std::size_t done, std::uint64_t block) {
			       unsigned char *bytes = request->received + done;
			       bdev->media.read();
			       disk_peek(bdev, block, bytes);
			       folio_write_contents(f, offset, bytes, half);
			       folio_write_contents(f, offset + half, bytes + half, half);
		       });
}

/* Any request of the queue, or null. */
bio *take_request(block_device *bdev, std::vector<bio *> *queue)
{
	bio *request = nullptr;
	bdev->queue_lock.lock();
	const auto count = static_cast<unsigned>(queue->size());
	if (count != 0) {
		interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
		const unsigned which = scheduler->choose("bio-order", std::min(count, 127u));
		request = (*queue)[which];
		queue->erase(queue->begin() + which);
	}
	bdev->queue_lock.unlock();
	return request;
}

} // namespace

block_device::block_device(const geometry &geo)
	: block_size(geo.block_size), queue_lock(queue_lock_class),
	  bio_dirty_lock(bio_dirty_lock_class)
{
}

void bio_add_folio(bio *request, folio *f, std::size_t len, std::size_t offset)
{
	FRAME(bio_add_folio);
	request->bi_io_vec.push_back({ f, offset, len });
	request->len += len;
}

void bio_add_folio_nofail(bio *request, folio *f, std::size_t len, std::size_t offset)
{
	FRAME(bio_add_folio_nofail);
	request->bi_io_vec.push_back({ f, offset, len });
	request->len += len;
}

/* Any context. Whoever submits a write has set PG_writeback, which keeps the folio; in direct I/O the
 * request has references. */
void submit_bio(bio *request)
{
	FRAME(submit_bio);
	block_device *bdev = this_machine().sb->s_bdev;
	CHECK(request->blocks.size() * bdev->block_size == request->len);
	bdev->queue_lock.lock();
	(request->direct ? bdev->direct : bdev->in_flight).push_back(request);
	bdev->queue_lock.unlock();
	(request->direct ? bdev->direct_work : bdev->work).wake_up();
}

void blkdev_issue_flush(block_device *bdev)
{
	FRAME(blkdev_issue_flush);
	/* A device without a cache says so, and no request is made. */
	if (this_machine().geo.volatile_cache == 0)
		return;
	bdev->media.read();
	this_machine().watcher->disk_flushed();
}

void io_completions()
{
	FRAME(bio_endio);
	block_device *bdev = this_machine().sb->s_bdev;
	for (;;) {
		bio *request = nullptr;
		bdev->work.wait_event([&] {
			return (request = take_request(bdev, &bdev->in_flight)) != nullptr;
		});
		if (should_fail("bio"))
			request->status = -EIO;
		else if (request->op == bio_op::READ)
			transfer_read(bdev, request);
		else
			transfer_write(bdev, request);
		request->end_io(request);
	}
}

void direct_io_completions()
{
	FRAME(bio_endio);
	block_device *bdev = this_machine().sb->s_bdev;
	for (;;) {
		bio *request = nullptr;
		bdev->direct_work.wait_event(
			[&] { return (request = take_request(bdev, &bdev->direct)) != nullptr; });
		if (should_fail("bio"))
			request->status = -EIO;
		else
			transfer_direct_read(bdev, request);
		request->end_io(request);
	}
}

void disk_peek(const block_device *bdev, std::uint64_t block, void *to)
{
	if (block < bdev->data.size() && bdev->data[block] != nullptr)
		std::memcpy(to, bdev->data[block], bdev->block_size);
	else
		std::memset(to, 0, bdev->block_size);
}

void disk_poke(block_device *bdev, std::uint64_t block, const unsigned char *bytes)
{
	if (block >= bdev->data.size())
		bdev->data.resize(block + 1);
	bdev->data[block] = bytes;
	if (block < bdev->own.size())
		bdev->own[block] = nullptr;
}

} // namespace kernel
