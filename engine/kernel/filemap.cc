// SPDX-License-Identifier: GPL-2.0-only
// The page cache: the folio lock, the folio at an index, private data (mm/filemap.c of 6.12). The
// rest of that file: filemap_find.cc (lookups), filemap_add.cc, filemap_remove.cc, filemap_read.cc,
// filemap_write.cc, filemap_fault.cc.
//
// Left out: memory cgroups, shmem and hugetlb, DAX, workingset refault accounting (a shadow entry
// met by an insertion is handed to the caller and forgotten), inode LRU, minimum folio orders.
// folio_end_read sets PG_uptodate and then unlocks, two steps; Linux does both in one.
//
// Lock order of the locks used here: invalidate_lock -> folio lock -> i_lock -> i_pages.xa_lock;
// several folio locks of a mapping in ascending index order, or by trylock. Lookups take RCU only.
#include "engine/kernel/pagemap.h"
#include "engine/kernel/filemap.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* The lock bit of a freed folio can be looked at; whoever takes it has no reference. */
void check_not_freed(const folio *f)
{
	if (f->order >= interleaf::kPoisoned) [[unlikely]]
		folio_use_after_free(f);
}

} // namespace

/* ---- the folio lock ---- */

void folio_lock(folio *f, std::source_location where)
{
	f->lock.lock(where);
	check_not_freed(f);
}

bool folio_trylock(folio *f, std::source_location where)
{
	const bool locked = f->lock.try_lock(where);
	check_not_freed(f);
	return locked;
}

void folio_unlock(folio *f, std::source_location where)
{
	FRAME(folio_unlock);
	VM_BUG_ON_FOLIO(!f->lock.held_by_me(), f);
	f->lock.unlock(where);
}

/* The caller holds a reference. The folio may be locked again when this returns. */
void folio_wait_locked(folio *f, std::source_location where)
{
	if (folio_test_locked(f, where))
		f->lock.wait(where);
}

/* By the task that completes the read, or by the one that started it if there was no I/O. */
void folio_end_read(folio *f, bool success)
{
	FRAME(folio_end_read);
	VM_BUG_ON_FOLIO(!f->lock.look_locked(), f);
	VM_BUG_ON_FOLIO(success && f->flags.look(PG_uptodate), f);
	if (success)
		folio_set_uptodate(f);
	if (f->lock.held_by_me())
		f->lock.unlock();
	else
		f->lock.unlock_by_other();
}

/* ---- the folio at an index ---- */

/*
 * The folio at `index` with a reference, locked if FGP_LOCK; with FGP_CREAT a new, locked, not
 * uptodate one if there is none. Sleeps for the lock unless FGP_NOWAIT. ERR_PTR: -ENOENT, -EAGAIN
 * (FGP_NOWAIT), -ENOMEM.
 */
folio *__filemap_get_folio(address_space *mapping, pgoff_t index, unsigned fgp)
{
	FRAME(__filemap_get_folio);
	for (;;) {
		void *entry = filemap_get_entry(mapping, index);

		if (entry != nullptr && !xa_is_value(entry)) {
			auto *f = static_cast<folio *>(entry);

			if ((fgp & FGP_LOCK) != 0) {
				if ((fgp & FGP_NOWAIT) == 0) {
					folio_lock(f);
				} else if (!folio_trylock(f)) {
					folio_put(f);
					return ERR_PTR<folio>(-EAGAIN);
				}
				/* Truncated, or replaced, while we waited. */
				if (f->mapping.load() != mapping) {
					folio_unlock(f);
					folio_put(f);
					continue;
				}
				VM_BUG_ON_FOLIO(!peek_contains(f, index), f);
			}
			if ((fgp & FGP_ACCESSED) != 0)
				folio_mark_accessed(f);
			if ((fgp & FGP_STABLE) != 0)
				folio_wait_stable(f);
			return f;
		}

		if ((fgp & FGP_CREAT) == 0)
			return ERR_PTR<folio>(-ENOENT);
		VM_WARN_ON_ONCE((fgp & (FGP_LOCK | FGP_FOR_MMAP)) == 0);

		folio *f = folio_alloc(0);
		if (f == nullptr)
			return ERR_PTR<folio>(-ENOMEM);
		if ((fgp & FGP_ACCESSED) != 0)
			folio_set_referenced(f);
		const int error = filemap_add_folio(mapping, f, index, 0);
		if (error == 0) {
			if ((fgp & FGP_FOR_MMAP) != 0)
				folio_unlock(f);
			return f;
		}
		folio_put(f);
		if (error != -EEXIST)
			return ERR_PTR<folio>(error);
	}
}

folio *filemap_get_folio(address_space *mapping, pgoff_t index)
{
	return __filemap_get_folio(mapping, index, 0);
}

folio *filemap_lock_folio(address_space *mapping, pgoff_t index)
{
	return __filemap_get_folio(mapping, index, FGP_LOCK);
}

/* ---- private data ---- */

/* Must somebody call filemap_release_folio before the folio may go? */
bool folio_needs_release(const folio *f)
{
	const address_space *mapping = folio_mapping(f);

	return folio_test_private(f) ||
	       (mapping != nullptr && mapping->flags.test(AS_RELEASE_ALWAYS));
}

/* Folio locked. Asks the filesystem to take its private data away. May sleep. */
bool filemap_release_folio(folio *f, gfp_t gfp)
{
	address_space *mapping = f->mapping.load();

	FRAME(filemap_release_folio);
	BUG_ON(!f->lock.held_by_me());
	if (!folio_needs_release(f))
		return true;
	if (folio_test_writeback(f))
		return false;
	if (mapping == nullptr || mapping->a_ops->release_folio == nullptr)
		return false;
	return mapping->a_ops->release_folio(f, gfp);
}

} // namespace kernel
