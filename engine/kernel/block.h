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
};

struct block_device {
	unsigned block_size;
	interleaf::Spinlock queue_lock;
	std::vector<bio *> in_flight; /* queue_lock */
	interleaf::WaitQueue work{ "I/O requests" };
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

/* For set-up, oracle and reports, no points. `to` gets block_size bytes. */
void disk_peek(const block_device *bdev, std::uint64_t block, void *to);
/* `bytes` must live as long as the World (the base image) or be in the arena. */
void disk_poke(block_device *bdev, std::uint64_t block, const unsigned char *bytes);

} // namespace kernel
