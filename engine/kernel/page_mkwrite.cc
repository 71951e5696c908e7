// SPDX-License-Identifier: GPL-2.0-only
// ->page_mkwrite of each persona: what a filesystem does before a page of a shared mapping becomes
// writable (btrfs and mm/filemap.c of 6.12). See filemap_page_mkwrite(). Those of ext4 and XFS are in
// ext4/ and iomap/; these two have the folio lock only.
//
// Left out: file times, freezing, killable locking.
#include <algorithm>

#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/simple_fs.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

bool lock_for_mkwrite(folio *f, const address_space *mapping, std::size_t *used)
{
	folio_lock(f);
	const loff_t size = i_size_read(mapping->host);
	const bool in_file = f->mapping.load() == mapping;
	const auto pos = static_cast<loff_t>(f->index.load() << page_shift());
	if (in_file && pos < size) {
		*used = std::min(folio_size(f), static_cast<std::size_t>(size - pos));
		return true;
	}
	folio_unlock(f);
	/* Already behind the end, but not unmapped: the CPU would fault on and on until truncate
	 * gets here. */
	if (in_file)
		interleaf::Scheduler::current()->relax();
	return false;
}

namespace
{

/* Space for the folio's part of the file, then dirt. Unlocks the folio if it fails. */
unsigned reserve_and_dirty(folio *f, std::size_t used)
{
	if (simple_fs_prepare_write(f, 0, used) != 0) {
		folio_unlock(f);
		return VM_FAULT_SIGBUS;
	}
	folio_mark_dirty(f);
	return VM_FAULT_LOCKED;
}

} // namespace

/* Waits for writeback in any case, and before the folio becomes dirty. */
unsigned btrfs_page_mkwrite(folio *f, address_space *mapping)
{
	FRAME(btrfs_page_mkwrite);
	std::size_t used;
	if (!lock_for_mkwrite(f, mapping, &used))
		return VM_FAULT_NOPAGE;
	folio_wait_writeback(f);
	return reserve_and_dirty(f, used);
}

/* No reservation: blocks are found at writeback. The size does not matter. */
unsigned generic_page_mkwrite(folio *f, address_space *mapping)
{
	FRAME(filemap_page_mkwrite);
	folio_lock(f);
	if (f->mapping.load() != mapping) {
		folio_unlock(f);
		return VM_FAULT_NOPAGE;
	}
	folio_mark_dirty(f);
	folio_wait_stable(f);
	return VM_FAULT_LOCKED;
}

} // namespace kernel
