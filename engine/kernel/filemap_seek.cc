// SPDX-License-Identifier: GPL-2.0-only
// Where the page cache has data of a range (mapping_seek_hole_data of mm/filemap.c, 6.12), and what
// is dirty (filemap_get_folios_dirty, 6.19). Data is what is uptodate, dirty or not: a clean page that
// was read from a hole counts too.
//
// Lock order: folio lock, of one folio at a time, outside RCU.
#include <unistd.h>

#include <algorithm>

#include "engine/kernel/errno.h"
#include "engine/kernel/filemap.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/truncate_pages.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/*
 * A folio that is not uptodate: the first position in it, from start on, that is what is wanted, or
 * behind it. Blocks that the filesystem knows to be uptodate are data. Drops and takes RCU.
 */
loff_t folio_seek_hole_data(xa_state *xas, address_space *mapping, folio *f, loff_t start,
			    loff_t end, bool seek_data)
{
	const address_space_operations *ops = mapping->a_ops;
	if (folio_test_uptodate(f) || ops->is_partially_uptodate == nullptr)
		return folio_test_uptodate(f) == seek_data ? start : end;
	const loff_t step = this_machine().geo.block_size;
	xas_pause(xas);
	rcu_read_unlock();
	folio_lock(f);
	if (f->mapping.load() == mapping) {
		auto offset = static_cast<std::size_t>(start) & (folio_size(f) - 1);
		offset = offset / static_cast<std::size_t>(step) * static_cast<std::size_t>(step);
		do {
			if (ops->is_partially_uptodate(f, offset, static_cast<std::size_t>(step)) ==
			    seek_data)
				break;
			start = (start + step) / step * step;
			offset += static_cast<std::size_t>(step);
		} while (offset < folio_size(f));
	} else {
		start = end;
	}
	folio_unlock(f);
	rcu_read_lock();
	return start;
}

} // namespace

/*
 * SEEK_DATA: the first byte of [start, end) that the cache has data of, or -ENXIO. SEEK_HOLE: the first
 * that it has not, or end. All may change at once. May sleep.
 */
loff_t mapping_seek_hole_data(address_space *mapping, loff_t start, loff_t end, int whence)
{
	FRAME(mapping_seek_hole_data);
	const bool seek_data = whence == SEEK_DATA;
	const loff_t page = page_size();
	if (end <= start)
		return -ENXIO;
	const pgoff_t max = static_cast<pgoff_t>(end - 1) / page_size();
	bool found = false;
	rcu_read_lock();
	xa_state xas(&mapping->i_pages, static_cast<pgoff_t>(start) / page_size());
	while (!found) {
		void *entry = find_get_entry(&xas, max, XA_PRESENT);
		if (entry == nullptr)
			break;
		if (xa_is_value(entry))
			continue;
		auto *f = static_cast<folio *>(entry);
		const loff_t pos = static_cast<loff_t>(f->index.load()) * page;
		const loff_t behind = pos + static_cast<loff_t>(folio_size(f));
		if (start < pos) {
			found = !seek_data;
			start = found ? start : pos;
		}
		if (!found) {
			start = folio_seek_hole_data(&xas, mapping, f, start, behind, seek_data);
			found = start < behind;
		}
		if (!found && start < end)
			xas_set(&xas, static_cast<pgoff_t>(start) / page_size());
		folio_put(f);
		if (start >= end)
			break;
	}
	rcu_read_unlock();
	if (found)
		return std::min(start, end);
	return seek_data ? -ENXIO : std::min(start, end);
}

void filemap_get_folios_dirty(address_space *mapping, pgoff_t *start, pgoff_t end,
			      folio_batch *fbatch)
{
	FRAME(filemap_get_folios_dirty);
	rcu_read_lock();
	xa_state xas(&mapping->i_pages, *start);
	while (void *entry = find_get_entry(&xas, end, XA_PRESENT)) {
		if (xa_is_value(entry))
			continue;
		auto *f = static_cast<folio *>(entry);
		if (folio_trylock(f)) {
			const bool clean = !folio_test_dirty(f) && !folio_test_writeback(f);
			folio_unlock(f);
			if (clean) {
				folio_put(f);
				continue;
			}
		}
		if (folio_batch_add(fbatch, f) == 0) {
			*start = folio_next_index(f);
			rcu_read_unlock();
			return;
		}
	}
	rcu_read_unlock();
	*start = end + 1;
}

} // namespace kernel
