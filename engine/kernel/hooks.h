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

struct file;
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

	/*
	 * A call that makes bytes zeros: hole punch, zero range. Begin when it starts, end when the
	 * user is told. Like a write of zeros; returns a handle for the end. What lies behind the end
	 * of the file belongs to nobody, and must read as zeros once the file grows over it.
	 */
	virtual unsigned zero_begin(inode &node, loff_t pos, loff_t len) = 0;
	virtual void zero_end(unsigned zeroing, bool done) = 0;
	/*
	 * A truncate has begun; which bytes it will take or add is known once it holds i_rwsem, and
	 * told then (len < 0: to infinity). zero_end() is the end.
	 */
	virtual unsigned truncate_begin(inode &node) = 0;
	virtual void truncate_range(unsigned truncation, loff_t pos, loff_t len) = 0;
	/* Insert range (shift > 0): so many zeros come in at pos. Collapse range (shift < 0): so many
	 * bytes go there. Those behind move. */
	virtual unsigned shift_begin(inode &node, loff_t pos, loff_t shift) = 0;
	virtual void shift_end(unsigned shift, bool done) = 0;
	/* Bytes of one file become those of another, or of elsewhere in it; len 0: to `in`'s end. End
	 * with how many did, or an error. */
	virtual unsigned clone_begin(inode &in, loff_t in_pos, inode &out, loff_t out_pos,
				     loff_t len) = 0;
	virtual void clone_end(unsigned clone, loff_t done) = 0;
	/* fallocate that may make the file so long was called. */
	virtual void size_asked(inode &node, loff_t size) = 0;
	/*
	 * Errors of writeback, which every open file is told of once: one was recorded in the mapping;
	 * a file was opened; a call began that tells the file (a handle for its end); it looked at
	 * what was recorded; it returned this.
	 */
	virtual void error_recorded(inode &node) = 0;
	virtual void file_opened(const file &f) = 0;
	virtual unsigned error_asked(const file &f) = 0;
	virtual void error_sampled(const file &f) = 0;
	virtual void error_told(unsigned asked, int error) = 0;
	/* A store through a mapping to bytes of a page that lie behind the end of the file. */
	virtual void store_behind_end(inode &node, loff_t pos, std::size_t len) = 0;
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

/* For watchers to whom the power never fails, and who need not know what calls do to ranges. */
class powered_observer : public observer {
public:
	unsigned zero_begin(inode &, loff_t, loff_t) override { return 0; }
	void zero_end(unsigned, bool) override {}
	unsigned truncate_begin(inode &) override { return 0; }
	void truncate_range(unsigned, loff_t, loff_t) override {}
	unsigned shift_begin(inode &, loff_t, loff_t) override { return 0; }
	void shift_end(unsigned, bool) override {}
	unsigned clone_begin(inode &, loff_t, inode &, loff_t, loff_t) override { return 0; }
	void clone_end(unsigned, loff_t) override {}
	void size_asked(inode &, loff_t) override {}
	void error_recorded(inode &) override {}
	void file_opened(const file &) override {}
	unsigned error_asked(const file &) override { return 0; }
	void error_sampled(const file &) override {}
	void error_told(unsigned, int) override {}
	void store_behind_end(inode &, loff_t, std::size_t) override {}
	void disk_wrote(std::uint64_t, const unsigned char *) override {}
	void disk_flushed() override {}
	void metadata_logged(const inode &) override {}
	void metadata_committed(std::uint64_t) override {}
	void sync_begin(inode &, loff_t, loff_t) override {}
	void sync_end(inode &, int) override {}
};

} // namespace kernel
