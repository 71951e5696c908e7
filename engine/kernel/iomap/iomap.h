// SPDX-License-Identifier: GPL-2.0-only
// iomap: buffered I/O on mappings of ranges of a file (fs/iomap and include/linux/iomap.h of 6.12,
// with what was different from 6.0 on behind patches; see patch_iomap.cc).
//
// All positions and lengths are bytes. Lock order of what is called here: i_rwsem ->
// invalidate_lock -> folio lock -> the filesystem's own locks, which never wait for the former.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/kernel/fs.h"

namespace kernel
{

struct bio;
struct iomap_ioend;

enum class iomap_type : std::uint8_t { HOLE, DELALLOC, MAPPED, UNWRITTEN };

enum iomap_map_flags : unsigned {
	IOMAP_F_NEW = 1, /* this begin made the reservation */
	IOMAP_F_SHARED = 2, /* of the COW fork */
	IOMAP_F_STALE = 4, /* somebody changed the extents: begin again */
	IOMAP_F_FOLIO_BATCH = 8, /* begin has looked for dirty folios: zero these and no others */
};

/* What an operation is for. */
enum iomap_op_flags : unsigned {
	IOMAP_WRITE = 1,
	IOMAP_ZERO = 2,
	IOMAP_FAULT = 4,
	IOMAP_UNSHARE = 8,
};

/* The bytes [offset, offset + length) of a file, all of one kind. */
struct iomap {
	iomap_type type = iomap_type::HOLE;
	unsigned flags = 0;
	loff_t offset = 0;
	std::uint64_t length = 0;
	std::uint64_t addr = 0; /* MAPPED, UNWRITTEN: the disk's block that has the byte `offset` */
	std::uint64_t validity_cookie = 0; /* for iomap_valid; of the instant it was looked up */
	struct folio_batch *fbatch = nullptr; /* of zero range: begin may fill it */
};

struct iomap_ops {
	/* The iomap that has the byte at pos; it may be longer or shorter than what is wanted.
	 * *srcmap stays a hole, unless what is there comes from elsewhere: shared blocks of which
	 * *map is the copy. Sleeps. 0 or an error. */
	int (*iomap_begin)(inode *node, loff_t pos, std::uint64_t length, unsigned flags,
			   iomap *map, iomap *srcmap);
	/* `written` bytes of the `length` from pos on were done. May be null. Sleeps. */
	int (*iomap_end)(inode *node, loff_t pos, std::uint64_t length, long written,
			 unsigned flags, iomap *map);
	/* With the folio locked that is about to be filled: does the iomap still hold? May be null.
	 * Does not sleep. In Linux an operation of the iomap. */
	bool (*iomap_valid)(inode *node, const iomap *map);
};

struct iomap_iter {
	inode *node;
	const iomap_ops *ops;
	loff_t pos;
	std::uint64_t len; /* left */
	unsigned flags = 0; /* iomap_op_flags */
	long processed = 0; /* of the iomap, by the turn before; or an error */
	iomap map = {};
	iomap srcmap = {}; /* HOLE: there is none */
	folio_batch *fbatch = nullptr; /* empty or for this iomap; its user drops what is left */
	unsigned next_folio = 0; /* in fbatch */
	bool refused = false; /* iomap_valid() said no to the iomap before, */
	std::uint64_t refused_cookie = 0; /* which had this one */
};
/* iter.cc. 1: iter->map is there, go on; 0: all is done; or an error. Sleeps. */
int iomap_iter_next(iomap_iter *iter);
/* Where what is there already is. */
inline const iomap *iomap_iter_srcmap(const iomap_iter *iter)
{
	return iter->srcmap.type != iomap_type::HOLE ? &iter->srcmap : &iter->map;
}
/* The bytes of the operation that the current iomap has. */
std::uint64_t iomap_length(const iomap_iter *iter);

/* ---- folio_state.cc: see folio_state.h ---- */

/* ---- buffered_write.cc, write_begin.cc ---- */

/* i_rwsem held for write. Bytes written, or an error if none were. Sleeps. */
long iomap_file_buffered_write(file *f, loff_t pos, const void *from, std::size_t len,
			       const iomap_ops *ops);
/* The folio at iter->pos, locked, with what surrounds the bytes [pos, pos + len) in place; null
 * and 0 if the iomap is stale. `len` may reach beyond the folio. Sleeps. */
int iomap_write_begin(iomap_iter *iter, loff_t pos, std::size_t len, folio **foliop);
/* `copied` bytes of them are there: uptodate and dirty. False: a short copy that is of no use. */
bool iomap_write_end(const iomap_iter *iter, loff_t pos, std::size_t len, std::size_t copied,
		     folio *f);
/* The same for zero range, which may have a batch: *pos moves over what is not to be zeroed; null and
 * 0, too, if nothing is left of the iomap. */
int iomap_zero_begin(iomap_iter *iter, loff_t *pos, std::uint64_t *length, folio **foliop);
void __iomap_put_folio(folio *f);

/* ---- delalloc_release.cc ---- */

using iomap_punch = void (*)(inode *node, loff_t offset, loff_t length, const iomap *map);
/*
 * A write was short: the reservation for [start, end), which it made, goes, but for what others
 * have made dirty meanwhile. i_rwsem held for write and invalidate_lock for write. Sleeps.
 */
void iomap_write_delalloc_release(inode *node, loff_t start, loff_t end, const iomap *map,
				  iomap_punch punch);
/* Where what a short write has not used begins: [.., pos + length) rounded up to a block. */
loff_t iomap_unused_start(loff_t pos, long written);
loff_t iomap_unused_end(loff_t pos, std::uint64_t length);

/* ---- page_mkwrite.cc, read.cc, zero_range.cc, unshare.cc, seek.cc, release_invalidate.cc ---- */

/* VM_FAULT_LOCKED, _NOPAGE or _SIGBUS; no folio lock held before. Sleeps. */
unsigned iomap_page_mkwrite(folio *f, const address_space *mapping, const iomap_ops *ops);
int iomap_read_folio(folio *f, const iomap_ops *ops);
void iomap_readahead(struct readahead_control *rac, const iomap_ops *ops);
bool iomap_is_partially_uptodate(folio *f, std::size_t from, std::size_t count);
/* super_operations::peek_dirty. */
std::optional<bool> iomap_peek_dirty(const folio *f, std::size_t from, std::size_t count);
/* Zeroes the bytes, but for what reads as zeros anyway. i_rwsem held for write. Sleeps. */
int iomap_zero_range(inode *node, loff_t pos, loff_t len, bool *did_zero, const iomap_ops *ops);
/*
 * For iomap_begin: looks for dirty folios of the bytes [pos, end) and sets IOMAP_F_FOLIO_BATCH. Returns
 * up to where it looked: the iomap must not reach further. Does not sleep, so that it may be done under
 * the lock that keeps the extents as they are. No batch, as when there was no memory for it: end.
 */
loff_t iomap_fill_dirty_folios(inode *node, loff_t pos, loff_t end, iomap *map);
/* Shared blocks of the range are read and become dirty. i_rwsem and invalidate_lock held. Sleeps. */
int iomap_file_unshare(inode *node, loff_t pos, loff_t len, const iomap_ops *ops);
int iomap_truncate_page(inode *node, loff_t pos, bool *did_zero, const iomap_ops *ops);
/* The first hole, or data, at or behind pos; the end of the file is a hole. -ENXIO. Sleeps. */
loff_t iomap_seek_hole(inode *node, loff_t pos, const iomap_ops *ops);
loff_t iomap_seek_data(inode *node, loff_t pos, const iomap_ops *ops);
bool iomap_release_folio(folio *f, gfp_t gfp);
void iomap_invalidate_folio(folio *f, std::size_t offset, std::size_t len);
bool iomap_dirty_folio(address_space *mapping, folio *f);

/* ---- direct_io.cc ---- */

/* i_rwsem held, shared. Bytes read, or -EINVAL for what is not a multiple of a block, in the file or in
 * memory, -EIO, -EFAULT, an error of writeback. Sleeps. */
long iomap_dio_read(inode *node, loff_t pos, class user_buffer *to, const iomap_ops *ops);

/* ---- writeback.cc, ioend.cc ---- */

struct iomap_writepage_ctx;
struct iomap_writeback_ops {
	/* wpc->map becomes the iomap of the `len` dirty bytes at `offset`, with blocks allocated. */
	int (*map_blocks)(iomap_writepage_ctx *wpc, inode *node, loff_t offset, std::size_t len);
	/* Before the request goes: who ends it. May be null. */
	void (*prepare_ioend)(iomap_ioend *ioend);
	/* The bytes from pos on to the folio's end could not be written and will not be. */
	void (*discard_folio)(folio *f, loff_t pos);
};

/* One request of writeback: bytes of the file that lie together on the disk. */
struct iomap_ioend {
	inode *io_inode;
	iomap_type io_type;
	unsigned io_flags; /* IOMAP_F_SHARED */
	loff_t io_offset;
	std::uint64_t io_size; /* for the file's size; the request may be longer */
	int io_error = 0;
	bio *io_bio;
	std::uint64_t io_next_block; /* behind what it has */
	std::uint64_t io_bytes = 0; /* that it has */
	loff_t io_data_end =
		0; /* where the file's data in it ends; zeros behind that. For checks */
};

/* What a walk of writeback keeps from one folio to the next. */
struct iomap_writepage_ctx {
	iomap map = {}; /* of the block before */
	iomap_ioend *ioend = nullptr; /* being filled */
	std::vector<iomap_ioend *> full = {}; /* to be submitted once the folio is unlocked */
	const iomap_writeback_ops *ops = nullptr;
};
int iomap_writepages(address_space *mapping, struct writeback_control *wbc,
		     iomap_writepage_ctx *wpc);
/* Ends writeback of the folios of these requests, which lie side by side. */
void iomap_finish_ioend(iomap_ioend *ioend, int error);
/* What the device calls if prepare_ioend() says nothing else; in its task. */
void iomap_writepage_end_bio(bio *request);

} // namespace kernel
