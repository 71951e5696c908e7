// SPDX-License-Identifier: GPL-2.0-only
// Buffer heads: what a folio knows about each of its blocks (include/linux/buffer_head.h).
//
// A folio's buffers are its private data, one array. Their flags belong to who holds the folio lock,
// but for two: block_dirty_folio() sets BH_Dirty under i_private_lock alone, and the end of writeback
// clears BH_Async_Write under PG_writeback. i_private_lock keeps buffers attached while they become
// dirty. All buffers of a folio are one object for searches; what touches them says so.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/kernel/block_types.h"
#include "engine/kernel/fs.h"
#include "scheduler/access.h"

namespace kernel
{

enum bh_state_bits : std::uint32_t {
	BH_Uptodate = 1 << 0,
	BH_Dirty = 1 << 1,
	BH_Mapped = 1 << 2, /* b_blocknr is known, or reserved (BH_Delay) */
	BH_New = 1 << 3, /* what is not written of it must be zeroed; write_begin..write_end */
	BH_Async_Write = 1 << 4, /* under writeback */
	BH_Delay = 1 << 5,
	BH_Unwritten = 1 << 6,
};

struct buffer_head {
	std::uint32_t b_state = 0;
	std::uint64_t b_blocknr = BLOCK_HOLE;

	bool test(std::uint32_t bits) const { return (b_state & bits) != 0; }
	void set(std::uint32_t bits) { b_state |= bits; }
	void clear(std::uint32_t bits) { b_state &= ~bits; }
};

struct folio_buffer_heads {
	unsigned nr;
	buffer_head *bh; /* one per block of the folio */
	interleaf::ObjectNumber number;

	explicit folio_buffer_heads(unsigned count);
	~folio_buffer_heads();
	folio_buffer_heads(const folio_buffer_heads &) = delete;
	folio_buffer_heads &operator=(const folio_buffer_heads &) = delete;
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, buffer_heads_block);
	}
};

/*
 * Finds the block of a file for a buffer: sets b_blocknr and BH_Mapped, BH_Delay, BH_Unwritten and
 * BH_New. `create`: it is about to be written. Folio lock held; may sleep. 0, -ENOSPC.
 */
using get_block_t = int (*)(inode *, std::uint64_t iblock, buffer_head *, bool create);

/* The folio's buffers, or null. Folio lock or i_private_lock held. The step under way reads them. */
folio_buffer_heads *folio_buffers(const folio *f);
/* The same for who changes them. */
folio_buffer_heads *folio_buffers_to_change(const folio *f);

/* The buffers of bytes [from, from + count) are uptodate, whatever the folio is: a read leaves them as
 * they are. For who judges the run; no point. */
bool block_peek_uptodate(folio *f, std::size_t from, std::size_t count);
/* The same, unless these are all buffers of the folio. Folio lock held. */
bool block_is_partially_uptodate(folio *f, std::size_t from, std::size_t count);

/* super_operations::peek_dirty. */
std::optional<bool> block_peek_dirty(const folio *f, std::size_t from, std::size_t count);

/* Folio lock held. */
folio_buffer_heads *create_empty_buffers(folio *f);
folio_buffer_heads *folio_create_buffers(folio *f);
/* All buffers become dirty, and the folio. As filemap_dirty_folio(). */
bool block_dirty_folio(address_space *mapping, folio *f);
/* One buffer of a locked folio does, and so the folio, which need not be uptodate. */
void mark_buffer_dirty(folio *f, buffer_head *bh);
/* Bytes of a locked folio are discarded; all buffers go with the whole of it. */
void block_invalidate_folio(folio *f, std::size_t offset, std::size_t len);
/* Frees the buffers of a locked folio unless one is dirty or the folio is under writeback. The folio
 * loses PG_dirty with them: its buffers were clean. */
bool try_to_free_buffers(folio *f);

/*
 * The two halves of a write to bytes [from, from + len) of a locked folio. The first gets blocks for
 * them and what is around them in these blocks; may sleep. 0, -ENOSPC, -EIO. The second marks their
 * buffers uptodate and dirty, and the folio uptodate if all are.
 */
int __block_write_begin_int(folio *f, std::size_t from, std::size_t len, get_block_t get_block);
/* The same without a frame of its own, for ext4_block_write_begin(). */
int block_write_begin_in(folio *f, std::size_t from, std::size_t len, get_block_t get_block);
void __block_commit_write(folio *f, std::size_t from, std::size_t to);
/* The second half of a copy that may have been short. Returns the bytes that count. */
unsigned block_write_end(folio *f, std::size_t from, unsigned len, unsigned copied);

/* ->page_mkwrite with buffers. VM_FAULT_*; see filemap_page_mkwrite(). */
unsigned block_page_mkwrite(folio *f, address_space *mapping, get_block_t get_block);

/* Reads what is not uptodate of a locked folio, whose lock passes on. Blocks behind the end of the
 * file read as zeros: truncate may be between the new size and freeing them. */
void block_read_full_folio(folio *f, get_block_t get_block);
/* Reads one block of a locked folio and waits for it. Sleeps. 0, -EIO. */
int bh_read(folio *f, unsigned which);

} // namespace kernel
