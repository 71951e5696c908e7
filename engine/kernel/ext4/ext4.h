// SPDX-License-Identifier: GPL-2.0-only
// ext4 with delayed allocation and buffer heads, default mount options but for what the geometry
// says: its inode, its map of blocks, its io_ends (fs/ext4 of 6.12, iomap.md 6.17).
//
// The extent status tree is the whole map of a file here, with an entry for every block: on-disk
// extents have no copy of their own. i_es_lock, a leaf, guards no two accesses in a row in Linux, so
// each lookup and each change is one access of the tree here and the lock is left out. Changes hold
// i_data_sem for write as well.
//
// Left out: direct writes, inline data, quotas, journalled data, encryption, verity, time stamps, the
// extent tree's own blocks. Freed blocks are not used again.
//
// Lock order: i_rwsem -> invalidate_lock -> handle -> folio lock -> i_data_sem. Whoever writes back
// takes the handle first, too.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernel/buffer.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/jbd2/journal.h"
#include "engine/kernel/patch.h"

namespace kernel
{

struct bio;
struct iomap_ioend;
struct iomap_ops;

using ext4_lblk_t = std::uint64_t; /* a file's block */

enum class es_status : std::uint8_t { HOLE, DELAYED, UNWRITTEN, WRITTEN };
struct extent_status {
	es_status status = es_status::HOLE;
	std::uint64_t pblk = BLOCK_HOLE; /* on the disk, if UNWRITTEN or WRITTEN */
};

/* A range of blocks of one status, next to each other on the disk if they are there. */
struct ext4_map {
	ext4_lblk_t lblk;
	std::uint64_t len;
	extent_status es; /* of the first */
	std::uint64_t seq = 0; /* i_es_seq when that was looked up */
};

struct ext4_inode;

/* What one pass of writeback has under way: its requests, and what to convert after them. */
struct ext4_io_end {
	struct range {
		loff_t offset; /* bytes */
		loff_t size;
	};
	ext4_inode *node;
	interleaf::Atomic<int> count{ 1 }; /* its holders: the pass, its requests */
	bool shared = false; /* it has requests: the pass is not alone with it */
	bool unwritten = false; /* EXT4_IO_END_UNWRITTEN */
	bool failed = false; /* EXT4_IO_END_FAILED */
	handle_t *handle = nullptr; /* reserved, for the conversion */
	std::vector<range> list_vec; /* to convert */
	std::vector<bio *> bios; /* ended, but not their writeback */

	explicit ext4_io_end(ext4_inode *owner) : node(owner) {}
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, ext4_io_end_block);
	}
};

struct ext4_inode : inode {
	interleaf::Rwsem i_data_sem; /* read: the map does not change */
	std::vector<extent_status> es; /* es_number; behind its end there are holes */
	std::uint64_t i_es_seq = 0; /* es_number; counts changes of it */
	mutable interleaf::ObjectNumber es_number; /* of the tree */
	std::uint64_t i_reserved_data_blocks = 0; /* i_data_sem */
	interleaf::Shared<tid_t> i_sync_tid; /* the last transaction that fsync has to wait for */
	jbd2_inode jinode;

	ext4_inode(super_block *sb, std::string file_name, unsigned ino);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, ext4_inode_block);
	}
};

inline ext4_inode *EXT4_I(inode *node)
{
	return static_cast<ext4_inode *>(node);
}
inline const ext4_inode *EXT4_I(const inode *node)
{
	return static_cast<const ext4_inode *>(node);
}

/* Of the one filesystem; super_block::s_fs_info. */
struct ext4_sb_info {
	journal_t *s_journal;
	std::uint64_t s_dirtyclusters = 0; /* alloc_lock; reserved for delayed allocation */
	/* io_ends whose conversion is due, for kworker/ext4. */
	interleaf::Completion rsv_conversion{ "ext4 conversions" };
	std::vector<ext4_io_end *> completed; /* belongs to rsv_conversion's points */
	std::vector<iomap_ioend *> iomap_completed; /* in place of these, with ext4-iomap */

	explicit ext4_sb_info(journal_t *journal);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, ext4_sb_info_block);
	}
};

inline ext4_sb_info *EXT4_SB(const super_block *sb)
{
	return static_cast<ext4_sb_info *>(sb->s_fs_info);
}

extern const super_operations ext4_super_operations;

std::uint64_t ext4_block_size();

/* ---- journal: credits, ends of handles, what fsync has to wait for. super.cc ---- */

handle_t *ext4_journal_start(inode *node, int nblocks, int rsv_blocks = 0);
void ext4_journal_stop(handle_t *handle);
/* The inode's map and size, as they are now, go with the handle's transaction. */
void ext4_mark_inode_dirty(handle_t *handle, inode *node);
/* data=ordered: these bytes reach the disk before the handle's transaction does. The commit writes
 * them; or it waits for them only, since the task is about to write them. */
void ext4_jbd2_inode_add_write(handle_t *handle, inode *node, loff_t start, loff_t len);
void ext4_jbd2_inode_add_wait(handle_t *handle, inode *node, loff_t start, loff_t len);
bool ext4_should_order_data();
bool ext4_should_dioread_nolock();
int ext4_writepage_trans_blocks();
/* The smallest log that has a size and in which every handle fits into a transaction. */
unsigned ext4_least_journal_blocks(const geometry &geo, patch_set patches);

/* ---- the map: extents_status.cc. What changes it holds i_data_sem for write. ---- */

extent_status ext4_es_lookup_extent(const ext4_inode *node, ext4_lblk_t lblk);
/*
 * What is at the map's blocks: `len` becomes smaller until all are alike. `flags`: without any,
 * blocks are only looked up; CREATE allocates them, UNWRIT_EXT as unwritten ones, and uses up what
 * was reserved; CONVERT makes unwritten blocks written. May sleep for i_data_sem. Requires: a handle,
 * with flags. Blocks on the disk, 0, or -ENOSPC.
 */
enum ext4_get_blocks : unsigned {
	EXT4_GET_BLOCKS_CREATE = 1,
	EXT4_GET_BLOCKS_UNWRIT_EXT = 2,
	EXT4_GET_BLOCKS_CONVERT = 4,
};
int ext4_map_blocks(handle_t *handle, inode *node, ext4_map *map, unsigned flags);
/* The same for a write to come: a hole becomes delayed, and is reserved, as far as there is room;
 * *reserved tells so. 0, -ENOSPC. */
int ext4_da_map_blocks(inode *node, ext4_map *map, bool *reserved = nullptr);
/* For a look at whether a map still holds. */
std::uint64_t ext4_es_seq(const ext4_inode *node);
/* Delayed blocks of [from, to) become holes. i_data_sem held for write. */
void ext4_es_remove_delayed(ext4_inode *node, ext4_lblk_t from, ext4_lblk_t to);
/* Blocks [from, to) become a hole; what was reserved for them is given back. i_data_sem held for
 * write, handle held. */
void ext4_es_remove_extent(ext4_inode *node, ext4_lblk_t from, ext4_lblk_t to);
/* Written ones among them become unwritten. i_data_sem held for write, handle held. */
void ext4_es_make_unwritten(ext4_inode *node, ext4_lblk_t from, ext4_lblk_t to);
/* get_block_t for writes and for reads. */
int ext4_da_get_block_prep(inode *node, std::uint64_t iblock, buffer_head *bh, bool create);
int ext4_get_block(inode *node, std::uint64_t iblock, buffer_head *bh, bool create);
void ext4_update_bh_state(buffer_head *bh, const extent_status &es);

/* ---- io_ends: page_io.cc ---- */

ext4_io_end *ext4_init_io_end(inode *node);
/* Gives up a hold of it; `defer`: not the place to start a handle, even if it is the last. */
void ext4_put_io_end(ext4_io_end *io_end, bool defer);
/* The requests of a pass that are not on their way yet. */
struct ext4_io_submitter {
	ext4_io_end *io_end;
	std::vector<bio *> bios;
};
/* Writes what is dirty of the first `len` bytes of a locked folio, and is mapped, once it is
 * submitted; the folio gets PG_writeback if there is any. What is behind becomes zeros. */
void ext4_bio_write_folio(ext4_io_submitter *io, folio *f, std::size_t len);
void ext4_io_submit(ext4_io_submitter *io);
/* Body of kworker/ext4, a daemon: conversions after writeback. Never returns. */
[[noreturn]] void ext4_end_io_rsv_work(super_block *sb);

/* ---- in place of buffer heads, with ext4-iomap: iomap.cc ---- */

extern const address_space_operations ext4_iomap_aops;
/* For direct reads, with buffer heads, too. */
extern const iomap_ops ext4_iomap_ops;
/* i_rwsem held for write. Bytes written, or an error if none were. Sleeps. */
long ext4_iomap_buffered_write(file *f, loff_t pos, const void *from, std::size_t len);
/* invalidate_lock held. VM_FAULT_*. Sleeps. */
unsigned ext4_iomap_page_mkwrite(folio *f, const address_space *mapping);
/* Zeroes bytes of one block through the cache; *did_zero, if given, becomes true if zero range did
 * anything. 0, -ENOMEM, -EIO. Sleeps, for folio locks and, where zero range flushes, for writeback: no
 * handle should be held. */
int ext4_iomap_block_zero_range(inode *node, loff_t from, loff_t length, bool *did_zero = nullptr);
/* In kworker/ext4: conversion, the size on the disk, the end of writeback. */
void ext4_iomap_end_ioend(iomap_ioend *ioend);

/* ---- writeback: writepages.cc ---- */

int ext4_writepages(address_space *mapping, struct writeback_control *wbc);
int ext4_normal_submit_inode_data_buffers(jbd2_inode *jinode);

/* ---- data and sizes: inode.cc, truncate.cc, fallocate.cc ---- */

int ext4_da_write_begin(file *, address_space *mapping, loff_t pos, unsigned len, folio **foliop,
			void **);
int ext4_da_write_end(file *, address_space *mapping, loff_t pos, unsigned len, unsigned copied,
		      folio *f, void *);
unsigned ext4_page_mkwrite(folio *f, address_space *mapping);
int ext4_read_folio(file *, folio *f);
void ext4_readahead(struct readahead_control *ractl);
void ext4_invalidate_folio(folio *f, std::size_t offset, std::size_t len);
bool ext4_release_folio(folio *f, gfp_t gfp);
bool ext4_dirty_folio(address_space *mapping, folio *f);
/* i_disksize under i_data_sem. */
void ext4_update_i_disksize(inode *node, loff_t size);

/*
 * Zeroes bytes of one block in the cache, in its folio, and makes it dirty, if there is anything on
 * the disk or delayed for it. With a handle the zeros reach the disk before its transaction does
 * (data=ordered); without one *written, if given, becomes true where that may matter: the block is
 * written, or iomap has zeroed it and promises nothing to commits. Sleeps. 0, -ENOMEM, -EIO.
 */
int ext4_block_zero_page_range(handle_t *handle, inode *node, loff_t from, loff_t length,
			       bool *written = nullptr);
/* From a size to the end of its block. */
int ext4_block_truncate_page(handle_t *handle, inode *node, loff_t from);
/* The same up to `end` at most, before the handle that changes the size: ext4-zero-before-handle.
 * Requires: no handle. Takes one of its own for what must be in order. *zeroed as *written. */
int ext4_block_zero_eof(inode *node, loff_t from, loff_t end, bool *zeroed = nullptr);
/* The parts of blocks at the edges of a range. The handle may be null. */
int ext4_zero_partial_blocks(handle_t *handle, inode *node, loff_t start, loff_t len);
/* Frees what a write has put behind the end of the file, which did not grow. */
void ext4_truncate_failed_write(inode *node);
int ext4_setattr(inode *node, loff_t size);
long ext4_fallocate(file *f, int mode, loff_t offset, loff_t len);

} // namespace kernel
