// SPDX-License-Identifier: GPL-2.0-only
// The disk: blocks of real bytes, requests in flight, completions made by a task of its own in
// any order. A write's payload is read from the folio when the device transfers it, not when it
// is submitted, block by block. Blocks written before the run share the immutable base image.
//
// Every transfer of a block is an access of `media`: a write of it or a read, and a flush is a read,
// since it depends on all earlier writes and on nothing else.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernel/block_types.h"
#include "engine/kernel/config.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/spinlock.h"
#include "scheduler/sync/wait_queue.h"

namespace kernel
{

struct folio;
struct inode;

enum class bio_op : std::uint8_t { READ, WRITE };

/* Bytes of a folio; a multiple of the block size. */
struct bio_vec {
	folio *bv_folio;
	std::size_t bv_offset; /* within the folio */
	std::size_t bv_len;
};

struct bio {
	bio_op op;
	std::vector<bio_vec> bi_io_vec; /* in the order of the blocks */
	std::size_t len = 0; /* bytes of all of them */
	std::vector<std::uint64_t> blocks; /* one per block of them; BLOCK_HOLE reads zeros */
	inode *owner;
	loff_t pos; /* where a write's bytes are in the file, one after the other: for the observer */
	bool unwritten = false; /* the blocks, or some of them, are new; the filesystem's */
	int status = 0; /* 0 or -EIO */
	void (*end_io)(bio *) = nullptr; /* in the completion task; frees the bio */
	void *private_data = nullptr;
	/* Direct I/O: the parts are users' pages, of which the request has a reference each: a PIN, or
	 * else a GET. Bytes that are read go to `received`, too. */
	bool direct = false;
	bool pinned = false; /* BIO_PAGE_PINNED */
	unsigned char *received = nullptr;
	bio *bi_next = nullptr; /* bio_dirty_lock */
};

struct block_device {
	unsigned block_size;
	interleaf::Spinlock queue_lock;
	std::vector<bio *> in_flight; /* queue_lock */
	interleaf::WaitQueue work{ "I/O requests" };
	std::vector<bio *> direct; /* queue_lock; requests of direct I/O */
	interleaf::WaitQueue direct_work{ "direct I/O requests" };
	interleaf::Spinlock bio_dirty_lock;
	bio *bio_dirty_list = nullptr; /* bio_dirty_lock */
	interleaf::WaitQueue bio_dirty_work{ "bio_dirty_work" };
	interleaf::Atomic<std::uint64_t> media; /* blocks written so far */
	std::vector<const unsigned char *> data; /* per block, as far as written; null is zeros */
	std::vector<unsigned char *> own; /* those of them that were written in this run */

	explicit block_device(const geometry &geo);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, block_device_block);
	}
};

/* The request is for this part of a folio, too. `blocks` is the caller's to extend. */
void bio_add_folio(bio *request, folio *f, std::size_t len, std::size_t offset);
void bio_add_folio_nofail(bio *request, folio *f, std::size_t len, std::size_t offset);
inline folio *bio_first_folio(const bio *request)
{
	return request->bi_io_vec.front().bv_folio;
}
void submit_bio(bio *request);
/* Returns when every write that completed before is on the medium. Any context. */
void blkdev_issue_flush(block_device *bdev);
/* Body of the completion task: takes any request in flight, transfers, ends it. Never returns. */
[[noreturn]] void io_completions();
/*
 * Body of the task that is the device for direct I/O. Between submission and completion it stores to
 * users' pages, half a block at a time, without lock, entry or reference of its own. Never returns.
 */
[[noreturn]] void direct_io_completions();

/* ---- bio.cc: what direct I/O does with users' pages ---- */

class user_buffer;
/* References to the next `len` bytes' pages, as many as there are. Bytes, or an error. Sleeps. */
long bio_iov_iter_get_pages(bio *request, user_buffer *buffer, std::size_t len);
/* The device will store to them. Sleeps for folio locks. */
void bio_set_pages_dirty(bio *request);
/* It has: gives the references back and frees the request, at once if all folios are dirty, else later,
 * in a task that makes them so. Does not sleep. */
void bio_check_pages_dirty(bio *request);
/* Gives the references back. With mark_dirty: sleeps for folio locks. */
void bio_release_pages(bio *request, bool mark_dirty);
/* Body of that task, a daemon. Never returns. */
[[noreturn]] void bio_dirty_fn();

/* For set-up, oracle and reports, no points. `to` gets block_size bytes. */
void disk_peek(const block_device *bdev, std::uint64_t block, void *to);
/* `bytes` must live as long as the World (the base image) or be in the arena. */
void disk_poke(block_device *bdev, std::uint64_t block, const unsigned char *bytes);

} // namespace kernel
