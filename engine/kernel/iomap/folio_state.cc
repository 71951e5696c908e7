// SPDX-License-Identifier: GPL-2.0-only
// The state of a folio's blocks: see folio_state.h.
//
// Lock: state_lock, innermost.
#include "engine/kernel/iomap/folio_state.h"

#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass state_lock_class{ "state_lock" };

void touch(const iomap_folio_state *ifs, interleaf::Op op)
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(op, ifs->blocks_number, ifs);
}

struct blocks {
	unsigned first;
	unsigned end;
};

blocks blocks_of(std::size_t off, std::size_t len)
{
	const auto size = static_cast<std::size_t>(fs_block_size());
	return { static_cast<unsigned>(off / size),
		 static_cast<unsigned>((off + len + size - 1) / size) };
}

/* True if all blocks are uptodate then. state_lock held. */
bool ifs_set_range_uptodate(iomap_folio_state *ifs, std::size_t off, std::size_t len)
{
	const blocks range = blocks_of(off, len);
	touch(ifs, interleaf::Op::kReadModifyWrite);
	for (unsigned i = range.first; i < range.end; i++)
		ifs->uptodate[i] = true;
	return std::all_of(ifs->uptodate.begin(), ifs->uptodate.end(),
			   [](bool bit) { return bit; });
}

void ifs_change_dirty(iomap_folio_state *ifs, std::size_t off, std::size_t len, bool value)
{
	const blocks range = blocks_of(off, len);
	ifs->state_lock.lock();
	touch(ifs, interleaf::Op::kReadModifyWrite);
	for (unsigned i = range.first; i < range.end; i++)
		ifs->dirty[i] = value;
	ifs->state_lock.unlock();
}

} // namespace

iomap_folio_state::iomap_folio_state(unsigned count)
	: state_lock(state_lock_class), uptodate(count), dirty(count)
{
}

unsigned i_blocks_per_folio(const folio *f)
{
	return static_cast<unsigned>(folio_size(f) / static_cast<std::size_t>(fs_block_size()));
}

iomap_folio_state *ifs_of(const folio *f)
{
	/* Most folios have one block: nothing to look at. */
	if (i_blocks_per_folio(f) <= 1)
		return nullptr;
	return static_cast<iomap_folio_state *>(folio_get_private(f));
}

iomap_folio_state *ifs_alloc(folio *f)
{
	const unsigned count = i_blocks_per_folio(f);
	iomap_folio_state *ifs = ifs_of(f);
	if (ifs != nullptr || count <= 1)
		return ifs;
	ifs = new iomap_folio_state(count);
	if (folio_test_uptodate(f))
		ifs->uptodate.assign(count, true);
	if (patched(Patch::kIfsDirtyBits) && folio_test_dirty(f))
		ifs->dirty.assign(count, true);
	folio_attach_private(f, ifs);
	return ifs;
}

void ifs_free(folio *f)
{
	if (!folio_test_private(f))
		return;
	auto *ifs = static_cast<iomap_folio_state *>(folio_detach_private(f));
	VM_WARN_ON_ONCE(ifs->read_bytes_pending != 0);
	VM_WARN_ON_ONCE(ifs->write_bytes_pending.look() != 0);
	const bool all = std::all_of(ifs->uptodate.begin(), ifs->uptodate.end(),
				     [](bool bit) { return bit; });
	VM_WARN_ON_ONCE(all != f->flags.look(PG_uptodate));
	delete ifs;
}

bool ifs_block_is_uptodate(const iomap_folio_state *ifs, unsigned block)
{
	touch(ifs, interleaf::Op::kRead);
	return ifs->uptodate[block];
}

bool ifs_block_is_dirty(const iomap_folio_state *ifs, unsigned block)
{
	touch(ifs, interleaf::Op::kRead);
	return ifs->dirty[block];
}

bool ifs_has_dirty_blocks(const folio *f)
{
	const iomap_folio_state *ifs = ifs_of(f);
	if (ifs == nullptr)
		return false;
	touch(ifs, interleaf::Op::kRead);
	return std::any_of(ifs->dirty.begin(), ifs->dirty.end(), [](bool bit) { return bit; });
}

std::optional<bool> iomap_peek_dirty(const folio *f, std::size_t from, std::size_t count)
{
	const auto *ifs = i_blocks_per_folio(f) <= 1
				  ? nullptr
				  : static_cast<const iomap_folio_state *>(f->private_data.peek());
	if (ifs == nullptr || !patched(Patch::kIfsDirtyBits))
		return std::nullopt;
	const blocks range = blocks_of(from, count);
	return std::any_of(ifs->dirty.begin() + range.first, ifs->dirty.begin() + range.end,
			   [](bool bit) { return bit; });
}

void iomap_set_range_uptodate(folio *f, std::size_t off, std::size_t len)
{
	FRAME(iomap_set_range_uptodate);
	bool all = true;
	if (iomap_folio_state *ifs = ifs_of(f)) {
		ifs->state_lock.lock();
		all = ifs_set_range_uptodate(ifs, off, len);
		ifs->state_lock.unlock();
	}
	if (all && !folio_test_uptodate(f))
		folio_set_uptodate(f);
}

void iomap_set_range_dirty(folio *f, std::size_t off, std::size_t len)
{
	if (!patched(Patch::kIfsDirtyBits))
		return;
	FRAME(iomap_set_range_dirty);
	if (iomap_folio_state *ifs = ifs_of(f))
		ifs_change_dirty(ifs, off, len, true);
}

void iomap_clear_range_dirty(folio *f, std::size_t off, std::size_t len)
{
	iomap_folio_state *ifs = ifs_of(f);
	if (ifs != nullptr && patched(Patch::kIfsDirtyBits))
		ifs_change_dirty(ifs, off, len, false);
}

/* Has writeback to write the block of a dirty folio? */
static bool ifs_block_is_to_write(const iomap_folio_state *ifs, unsigned block)
{
	return patched(Patch::kIfsDirtyBits) ? ifs_block_is_dirty(ifs, block)
					     : ifs_block_is_uptodate(ifs, block);
}

std::size_t iomap_find_dirty_range(const folio *f, loff_t *pos, loff_t end)
{
	if (*pos >= end)
		return 0;
	const iomap_folio_state *ifs = ifs_of(f);
	if (ifs == nullptr)
		return static_cast<std::size_t>(end - *pos);
	const loff_t start = folio_pos(f);
	blocks range = blocks_of(static_cast<std::size_t>(*pos - start),
				 static_cast<std::size_t>(end - *pos));
	while (range.first < range.end && !ifs_block_is_to_write(ifs, range.first))
		range.first++;
	if (range.first == range.end)
		return 0;
	*pos = start + range.first * fs_block_size();
	unsigned last = range.first;
	while (last < range.end && ifs_block_is_to_write(ifs, last))
		last++;
	return (last - range.first) * static_cast<std::size_t>(fs_block_size());
}

void ifs_read_begin(iomap_folio_state *ifs, std::size_t len)
{
	ifs->state_lock.lock();
	touch(ifs, interleaf::Op::kReadModifyWrite);
	ifs->read_bytes_pending += len;
	ifs->state_lock.unlock();
}

/* In the device's task. The last read of a folio unlocks it. */
void iomap_finish_folio_read(folio *f, std::size_t off, std::size_t len, int error)
{
	bool uptodate = error == 0;
	bool finished = true;
	if (iomap_folio_state *ifs = ifs_of(f)) {
		ifs->state_lock.lock();
		if (uptodate)
			uptodate = ifs_set_range_uptodate(ifs, off, len);
		ifs->read_bytes_pending -= len;
		finished = ifs->read_bytes_pending == 0;
		ifs->state_lock.unlock();
	}
	if (finished)
		folio_end_read(f, uptodate);
}

} // namespace kernel
