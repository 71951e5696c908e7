// SPDX-License-Identifier: GPL-2.0-only
// Which blocks of a folio are uptodate and which are dirty: struct iomap_folio_state, private data
// of a folio that has more than one block (fs/iomap/buffered-io.c of 6.12). A folio of one block has
// none; its flags say all.
//
// Dirty blocks are known since 6.6 (ifs-dirty-bits); before, all of a dirty folio are taken for
// dirty.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/kernel/block_types.h"
#include "engine/kernel/folio.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/spinlock.h"

namespace kernel
{

struct iomap_folio_state {
	interleaf::Spinlock state_lock;
	std::size_t read_bytes_pending = 0; /* state_lock */
	interleaf::Atomic<long> write_bytes_pending;
	std::vector<bool> uptodate; /* per block; changes: state_lock */
	std::vector<bool> dirty;
	mutable interleaf::ObjectNumber blocks_number; /* of both: some look without the lock */

	explicit iomap_folio_state(unsigned blocks);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, iomap_folio_state_block);
	}
};

unsigned i_blocks_per_folio(const folio *f);
/* That of a folio, or null. Folio lock held, or a step that is safe without. */
iomap_folio_state *ifs_of(const folio *f);
/* Makes one if there is none and more than one block: as the folio's flags say. Folio lock held, or
 * a page table lock with the page mapped. */
iomap_folio_state *ifs_alloc(folio *f);
/* Folio lock held, no I/O. */
void ifs_free(folio *f);

bool ifs_block_is_uptodate(const iomap_folio_state *ifs, unsigned block);
/* Of any block; for checks. */
bool ifs_has_dirty_blocks(const folio *f);
bool ifs_block_is_dirty(const iomap_folio_state *ifs, unsigned block);

/* Bytes [off, off + len) of the folio; whole blocks that have one of them. */
void iomap_set_range_uptodate(folio *f, std::size_t off, std::size_t len);
void iomap_set_range_dirty(folio *f, std::size_t off, std::size_t len);
void iomap_clear_range_dirty(folio *f, std::size_t off, std::size_t len);
/*
 * The next dirty bytes from *pos on, up to `end`: their number, and *pos becomes where; 0 if there
 * are none. Folio lock held.
 */
std::size_t iomap_find_dirty_range(const folio *f, loff_t *pos, loff_t end);

/* A read of these bytes has begun, or ended; true if it was the folio's last. */
void ifs_read_begin(iomap_folio_state *ifs, std::size_t len);
void iomap_finish_folio_read(folio *f, std::size_t off, std::size_t len, int error);

inline loff_t folio_pos(const folio *f)
{
	return static_cast<loff_t>(f->index.load() * page_size());
}
inline std::size_t offset_in_folio(const folio *f, loff_t pos)
{
	return static_cast<std::size_t>(pos) & (folio_size(f) - 1);
}
inline loff_t fs_block_size()
{
	return this_machine().geo.block_size;
}
inline loff_t round_down_to_block(loff_t pos)
{
	return pos / fs_block_size() * fs_block_size();
}
inline loff_t round_up_to_block(loff_t pos)
{
	return round_down_to_block(pos + fs_block_size() - 1);
}

} // namespace kernel
