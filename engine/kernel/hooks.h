// SPDX-License-Identifier: GPL-2.0-only
// What the port tells whoever judges a run (the oracle). The port never asks and never depends on
// the answers. Calls happen at the instant of the change, inside the task that makes it, and make
// no points. All positions and lengths are bytes. All calls are pure: who hands them on to another
// observer cannot forget one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernel/config.h"

namespace kernel
{

struct folio;
struct inode;

class observer {
public:
	virtual ~observer() = default;

	/*
	 * A write to a file by a user: begin when the call starts, then each piece as it reaches
	 * the cache (or a mapped page), end when the user is told (acknowledged bytes from `pos`;
	 * 0 or less: it failed). A store through a mapping is begin, piece, end at once.
	 * Returns a handle for the later calls.
	 */
	virtual unsigned write_begin(inode &node, loff_t pos, const void *data,
				     std::size_t len) = 0;
	virtual void write_end(unsigned write, long acknowledged) = 0;
	/* The same for a read: begin, then end with what the user got. */
	virtual unsigned read_begin(inode &node, loff_t pos, std::size_t len) = 0;
	virtual void read_end(unsigned read, const void *data, long got) = 0;

	/* The user asked for these bytes to go: truncate (len < 0: to infinity), hole punch. Once
	 * before they do, once when they have gone: stores through mappings may come in between. */
	virtual void logical_discard(inode &node, loff_t pos, loff_t len) = 0;
	/* i_size changed. */
	virtual void size_changed(inode &node, loff_t size) = 0;

	/* PG_dirty of this folio was cleared without writeback (folio_cancel_dirty). */
	virtual void dirty_cancelled(folio &f) = 0;
	/*
	 * The folio has just left the page cache (its slots are erased or replaced); its contents
	 * and index are still there. `replacement` is what took its place, or null.
	 */
	virtual void folio_removed(inode &node, folio &f, folio *replacement) = 0;
	/*
	 * aside: from now on slots of the folio may be empty already, or show a folio that is not
	 * uptodate yet; its contents are kept. Else: that is over. The folio is back, or the other
	 * one has its contents, or folio_removed() follows.
	 */
	virtual void folio_set_aside(inode &node, folio &f, bool aside) = 0;
	/* A block of the disk has changed. */
	virtual void block_written(inode &node, loff_t pos, std::size_t len) = 0;
	/* Writeback of these bytes failed and the error was recorded in the mapping. */
	virtual void write_error(inode &node, loff_t pos, std::size_t len) = 0;
	/* fsync or the like returned 0 for this inode. */
	virtual void sync_promised(inode &node) = 0;

	/* ---- what a power cut is judged by ---- */

	/* The device has put a whole block into its cache or, if it has none, on the medium. */
	virtual void disk_wrote(std::uint64_t block, const unsigned char *bytes) = 0;
	/* The device's cache has reached the medium. */
	virtual void disk_flushed() = 0;
	/* The log holds the inode's block map and size as they are now, in memory so far. */
	virtual void metadata_logged(const inode &node) = 0;
	/* The first `logged` changes that metadata_logged() told of are in the log's blocks on the
	 * device. */
	virtual void metadata_committed(std::uint64_t logged) = 0;
	/* fsync or the like of bytes [start, end] was called; by the same task: it returned. */
	virtual void sync_begin(inode &node, loff_t start, loff_t end) = 0;
	virtual void sync_end(inode &node, int error) = 0;
};

/* For watchers to whom the power never fails. */
class powered_observer : public observer {
public:
	void disk_wrote(std::uint64_t, const unsigned char *) override {}
	void disk_flushed() override {}
	void metadata_logged(const inode &) override {}
	void metadata_committed(std::uint64_t) override {}
	void sync_begin(inode &, loff_t, loff_t) override {}
	void sync_end(inode &, int) override {}
};

} // namespace kernel
