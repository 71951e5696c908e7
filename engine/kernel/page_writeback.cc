// SPDX-License-Identifier: GPL-2.0-only
// Dirty state, the loop over dirty folios, writeback of one folio, writing a range and waiting for
// it (mm/page-writeback.c and the writeback half of mm/filemap.c, 6.12).
//
// Left out: dirty limits and throttling, cgroups, bandwidth, swap; do_writepages' retry after
// -ENOMEM, which no ->writepages here returns.
//
// PG_dirty is in the folio; the marks DIRTY, TOWRITE and WRITEBACK are in i_pages. DIRTY is set
// after PG_dirty and cleared when writeback starts, or with the slot. The two may disagree.
//
// Lock order: folio lock -> i_pages.xa_lock. folio_mark_dirty may be called under page table locks.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass writeback_class{ "writeback" };

bool mapping_tagged(address_space *mapping, xa_mark_t mark)
{
	return xa_marked(&mapping->i_pages, mark);
}

/* State of one walk of write_cache_pages(). */
struct writeback_walk {
	address_space *mapping;
	writeback_control *wbc;
	writeback_loop loop;
	pgoff_t index;
	pgoff_t end;
	xa_mark_t tag;
	folio_batch fbatch;
	unsigned next = 0; /* in fbatch */
};

/* With the folio lock: is this still a dirty folio of the mapping that nobody writes? If so it is
 * made clean. May sleep. */
bool folio_prepare_writeback(writeback_walk *walk, folio *f)
{
	if (f->mapping.load() != walk->mapping)
		return false;
	if (!folio_test_dirty(f))
		return false;
	const bool busy = folio_test_writeback(f);
	if (busy && walk->wbc->sync_mode == WB_SYNC_NONE)
		return false;
	if (busy || walk->loop.own)
		folio_wait_writeback(f);
	BUG_ON(f->flags.look(PG_writeback));
	return folio_clear_dirty_for_io(f);
}

/* The next folio to write, locked and clean; the batch keeps a reference. Null at the end. */
folio *writeback_get_folio(writeback_walk *walk)
{
	for (;;) {
		if (walk->next == walk->fbatch.nr) {
			folio_batch_release(&walk->fbatch);
			walk->next = 0;
			if (walk->loop.own && walk->index > walk->end)
				return nullptr;
			filemap_get_folios_tag(walk->mapping, &walk->index, walk->end, walk->tag,
					       &walk->fbatch);
			if (walk->fbatch.nr == 0)
				return nullptr;
		}
		folio *f = walk->fbatch.folios[walk->next++];
		folio_lock(f);
		if (folio_prepare_writeback(walk, f))
			return f;
		folio_unlock(f);
	}
}

} // namespace

void __folio_mark_dirty(folio *f, address_space *mapping, bool warn)
{
	FRAME(__folio_mark_dirty);
	mapping->i_pages.xa_lock.lock();
	if (f->mapping.load() != nullptr) {
		VM_WARN_ON_ONCE(warn && !f->flags.look(PG_uptodate));
		vm_stat_add(this_machine().stat.nr_file_dirty, folio_nr_pages(f));
		xa_state xas(&mapping->i_pages, f->index.load());
		xas_load(&xas);
		xas_set_mark(&xas, PAGECACHE_TAG_DIRTY);
	}
	mapping->i_pages.xa_lock.unlock();
}

/*
 * Returns true if the folio was not dirty before. The caller holds the folio lock or something else
 * that keeps truncate from making an end of the mapping (a page table lock with the page mapped).
 * Does not sleep.
 */
bool folio_mark_dirty(folio *f)
{
	FRAME(folio_mark_dirty);
	address_space *mapping = folio_mapping(f);
	if (mapping == nullptr) {
		if (folio_test_dirty(f))
			return false;
		return !folio_test_set_dirty_flag(f);
	}
	if (folio_test_reclaim(f))
		folio_clear_reclaim(f);
	return mapping->a_ops->dirty_folio(mapping, f);
}

bool filemap_dirty_folio(address_space *mapping, folio *f)
{
	FRAME(filemap_dirty_folio);
	if (folio_test_set_dirty_flag(f))
		return false;
	__folio_mark_dirty(f, mapping, !f->flags.look(PG_private));
	mark_inode_dirty_pages(mapping->host);
	return true;
}

void folio_account_cleaned(folio *f)
{
	vm_stat_add(this_machine().stat.nr_file_dirty, -static_cast<long>(folio_nr_pages(f)));
}

/* Forgets that the folio is dirty, without writing it. The DIRTY mark stays. */
void folio_cancel_dirty(folio *f)
{
	FRAME(folio_cancel_dirty);
	if (!folio_test_dirty(f))
		return;
	if (folio_test_clear_dirty_flag(f)) {
		this_machine().watcher->dirty_cancelled(*f);
		folio_account_cleaned(f);
	}
}

/*
 * The folio is about to be written: write-protects and cleans what maps it, so that the next store
 * faults, and takes PG_dirty away. True if it was dirty. Folio lock held; may sleep.
 * A dirty PTE goes to PG_dirty first, so that one who looks at PG_dirty alone never sees the
 * folio clean too early.
 */
bool folio_clear_dirty_for_io(folio *f)
{
	FRAME(folio_clear_dirty_for_io);
	VM_BUG_ON_FOLIO(!f->lock.look_locked(), f);
	if (folio_mapping(f) == nullptr)
		return folio_test_clear_dirty_flag(f);
	if (folio_mkclean(f) != 0)
		folio_mark_dirty(f);
	if (!folio_test_clear_dirty_flag(f))
		return false;
	folio_account_cleaned(f);
	return true;
}

/* Folio lock held, not under writeback. The caller must submit it or end the writeback. */
void folio_start_writeback(folio *f, bool keep_towrite)
{
	FRAME(__folio_start_writeback);
	VM_BUG_ON_FOLIO(f->flags.look(PG_writeback), f);
	address_space *mapping = folio_mapping(f);
	if (mapping != nullptr) {
		mapping->i_pages.xa_lock.lock();
		xa_state xas(&mapping->i_pages, f->index.load());
		xas_load(&xas);
		folio_test_set_writeback(f);
		xas_set_mark(&xas, PAGECACHE_TAG_WRITEBACK);
		if (!folio_test_dirty(f))
			xas_clear_mark(&xas, PAGECACHE_TAG_DIRTY);
		if (!keep_towrite)
			xas_clear_mark(&xas, PAGECACHE_TAG_TOWRITE);
		mapping->i_pages.xa_lock.unlock();
	} else {
		folio_test_set_writeback(f);
	}
	vm_stat_add(this_machine().stat.nr_writeback, folio_nr_pages(f));
}

/* PG_writeback and the WRITEBACK mark go together. */
static void __folio_end_writeback(folio *f)
{
	FRAME(__folio_end_writeback);
	address_space *mapping = folio_mapping(f);
	if (mapping != nullptr) {
		mapping->i_pages.xa_lock.lock();
		folio_clear_writeback(f);
		xa_state xas(&mapping->i_pages, f->index.load());
		xas_load(&xas);
		xas_clear_mark(&xas, PAGECACHE_TAG_WRITEBACK);
		mapping->i_pages.xa_lock.unlock();
	} else {
		folio_clear_writeback(f);
	}
	vm_stat_add(this_machine().stat.nr_writeback, -static_cast<long>(folio_nr_pages(f)));
}

void folio_claim_writeback(folio *f)
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	const void *place = f->flags.waits_at(PG_writeback);
	const interleaf::HeldLocks &held = scheduler->current_task().held;
	if (std::any_of(held.begin(), held.end(),
			[=](const interleaf::HeldLock &lock) { return lock.lock == place; }))
		return;
	scheduler->claim(place, scheduler->lock_class_index(writeback_class), false,
			 std::source_location::current());
}

static void drop_writeback_claim(const folio *f)
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	if (scheduler == nullptr)
		return;
	const void *place = f->flags.waits_at(PG_writeback);
	for (const interleaf::HeldLock &lock : scheduler->current_task().held) {
		if (lock.lock != place)
			continue;
		scheduler->lock_dropped(place, std::source_location::current());
		return;
	}
}

/* From I/O completion, without the folio lock. Wakes who waits for it. */
void folio_end_writeback(folio *f)
{
	FRAME(folio_end_writeback);
	VM_BUG_ON_FOLIO(!f->flags.look(PG_writeback), f);
	if (folio_test_reclaim(f))
		folio_clear_reclaim(f);

	/* PG_writeback was what kept the folio in the cache; from the clear on, nothing does. */
	folio_get(f);
	drop_writeback_claim(f);
	__folio_end_writeback(f);
	folio_put(f);
}

/* Tells lock order that the task may wait for writeback here. `place` is who waits for whom. */
static void might_wait_for_writeback(const void *place, std::source_location where)
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->lock_wanted(place, scheduler->lock_class_index(writeback_class), where);
}

static void folio_wait_bit(folio *f, std::source_location where)
{
	FRAME(folio_wait_bit);
	might_wait_for_writeback(f->flags.waits_at(PG_writeback), where);
	f->flags.wait_clear(PG_writeback, "writeback", where);
}

/* Sleeps. With the folio lock held nobody can start another writeback afterwards. */
void folio_wait_writeback(folio *f, std::source_location where)
{
	FRAME(folio_wait_writeback);
	while (folio_test_writeback(f, where))
		folio_wait_bit(f, where);
}

/* Where the filesystem wants the bytes under I/O left alone (checksums). Folio lock held. */
void folio_wait_stable(folio *f, std::source_location where)
{
	FRAME(folio_wait_stable);
	const address_space *mapping = folio_mapping(f);
	if (mapping != nullptr && mapping->flags.peek(AS_STABLE_WRITES))
		folio_wait_writeback(f, where);
}

/*
 * Copies DIRTY marks of the pages [start, end] to TOWRITE, so that a WB_SYNC_ALL walk writes what
 * was dirty when it began and cannot be kept busy by somebody who goes on writing.
 */
void tag_pages_for_writeback(address_space *mapping, pgoff_t start, pgoff_t end)
{
	FRAME(tag_pages_for_writeback);
	mapping->i_pages.xa_lock.lock();
	xa_state xas(&mapping->i_pages, start);
	while (xas_find_marked(&xas, end, PAGECACHE_TAG_DIRTY) != nullptr)
		xas_set_mark(&xas, PAGECACHE_TAG_TOWRITE);
	mapping->i_pages.xa_lock.unlock();
}

/*
 * Hands the dirty folios of wbc's range to `writepage` one after the other, locked, with PG_dirty
 * already taken. WB_SYNC_NONE skips folios under writeback and stops at the first error or when
 * nr_to_write is used up; WB_SYNC_ALL waits for them, goes on, and returns the first error.
 * May sleep.
 */
int write_cache_pages(address_space *mapping, writeback_control *wbc,
		      int (*writepage)(folio *, writeback_control *, void *), void *data,
		      writeback_loop loop)
{
	FRAME(write_cache_pages);
	const pgoff_t size = page_size();
	writeback_walk walk{};
	walk.mapping = mapping;
	walk.wbc = wbc;
	walk.loop = loop;
	walk.index = wbc->range_cyclic ? mapping->writeback_index.load()
				       : static_cast<pgoff_t>(wbc->range_start) / size;
	walk.end = wbc->range_cyclic ? ~pgoff_t{ 0 } : static_cast<pgoff_t>(wbc->range_end) / size;
	walk.tag = PAGECACHE_TAG_DIRTY;
	if (wbc->sync_mode == WB_SYNC_ALL || wbc->tagged_writepages) {
		tag_pages_for_writeback(mapping, walk.index, walk.end);
		walk.tag = PAGECACHE_TAG_TOWRITE;
	}

	int saved_err = 0;
	while (folio *f = writeback_get_folio(&walk)) {
		const pgoff_t next_index = folio_next_index(f);
		const int error = writepage(f, wbc, data);
		wbc->nr_to_write -= folio_nr_pages(f);
		if (error != 0 && saved_err == 0)
			saved_err = error;
		if (wbc->sync_mode == WB_SYNC_NONE && (saved_err != 0 || wbc->nr_to_write <= 0)) {
			if (wbc->range_cyclic)
				mapping->writeback_index.store(next_index);
			folio_batch_release(&walk.fbatch);
			return saved_err;
		}
	}
	if (wbc->range_cyclic)
		mapping->writeback_index.store(0);
	return saved_err;
}

int do_writepages(address_space *mapping, writeback_control *wbc)
{
	FRAME(do_writepages);
	if (wbc->nr_to_write <= 0)
		return 0;
	return mapping->a_ops->writepages(mapping, wbc);
}

/* Starts writeback as wbc says, if anything at all in the mapping has the DIRTY mark. */
int filemap_fdatawrite_wbc(address_space *mapping, writeback_control *wbc)
{
	FRAME(filemap_fdatawrite_wbc);
	if (!mapping_tagged(mapping, PAGECACHE_TAG_DIRTY))
		return 0;
	return do_writepages(mapping, wbc);
}

/* Bytes [start, end]. Returns before the I/O is done. */
int __filemap_fdatawrite_range(address_space *mapping, loff_t start, loff_t end,
			       writeback_sync_modes sync_mode)
{
	FRAME(__filemap_fdatawrite_range);
	writeback_control wbc;
	wbc.sync_mode = sync_mode;
	wbc.range_start = start;
	wbc.range_end = end;
	return filemap_fdatawrite_wbc(mapping, &wbc);
}

int filemap_fdatawrite_range(address_space *mapping, loff_t start, loff_t end)
{
	FRAME(filemap_fdatawrite_range);
	return __filemap_fdatawrite_range(mapping, start, end, WB_SYNC_ALL);
}

int filemap_flush(address_space *mapping)
{
	FRAME(filemap_flush);
	return __filemap_fdatawrite_range(mapping, 0, LLONG_MAX_POS, WB_SYNC_NONE);
}

/* Sleeps until no folio of the bytes [start, end] that has the WRITEBACK mark is under writeback.
 * Leaves errors for filemap_check_errors() and the errseq readers. That some may be is for lock order
 * as good as that one is: with a handle held, the one whose end needs a handle. */
void __filemap_fdatawait_range(address_space *mapping, loff_t start, loff_t end)
{
	FRAME(__filemap_fdatawait_range);
	might_wait_for_writeback(mapping, std::source_location::current());
	const pgoff_t size = page_size();
	pgoff_t index = static_cast<pgoff_t>(start) / size;
	const pgoff_t last = static_cast<pgoff_t>(end) / size;
	folio_batch fbatch;
	while (index <= last) {
		const unsigned nr = filemap_get_folios_tag(mapping, &index, last,
							   PAGECACHE_TAG_WRITEBACK, &fbatch);
		if (nr == 0)
			break;
		for (unsigned i = 0; i < nr; i++)
			folio_wait_writeback(fbatch.folios[i]);
		folio_batch_release(&fbatch);
	}
}

/* The same, and reports (and takes) errors of the mapping. */
int filemap_fdatawait_range(address_space *mapping, loff_t start, loff_t end)
{
	FRAME(filemap_fdatawait_range);
	__filemap_fdatawait_range(mapping, start, end);
	return filemap_check_errors(mapping);
}

/* Bytes [start, end]: writes, waits, and reports (and takes) errors of the mapping. */
int filemap_write_and_wait_range(address_space *mapping, loff_t start, loff_t end)
{
	FRAME(filemap_write_and_wait_range);
	if (end < start)
		return 0;
	int error = 0;
	if (mapping->nrpages.load() != 0) {
		error = __filemap_fdatawrite_range(mapping, start, end, WB_SYNC_ALL);
		if (error != -EIO)
			__filemap_fdatawait_range(mapping, start, end);
	}
	const int recorded = filemap_check_errors(mapping);
	return error != 0 ? error : recorded;
}

int filemap_write_and_wait(address_space *mapping)
{
	FRAME(filemap_write_and_wait);
	return filemap_write_and_wait_range(mapping, 0, LLONG_MAX_POS);
}

/*
 * Is anything in the bytes [start, end] dirty, locked or under writeback? A hint: all may change
 * at once. Linux looks at the flags of folios it has no reference to, which is harmless for struct
 * pages but would be a use after free here; so a reference is held while looking.
 */
bool filemap_range_has_writeback(address_space *mapping, loff_t start, loff_t end)
{
	FRAME(filemap_range_has_writeback);
	if (end < start)
		return false;
	const pgoff_t size = page_size();
	const pgoff_t last = static_cast<pgoff_t>(end) / size;
	bool busy = false;
	rcu_read_lock();
	xa_state xas(&mapping->i_pages, static_cast<pgoff_t>(start) / size);
	for (void *entry = xas_find(&xas, last); entry != nullptr && !busy;
	     entry = xas_next_entry(&xas, last)) {
		if (xas_retry(&xas, entry) || xa_is_value(entry))
			continue;
		auto *f = static_cast<folio *>(entry);
		if (!folio_try_get(f))
			continue;
		busy = folio_test_dirty(f) || folio_test_locked(f) || folio_test_writeback(f);
		folio_put(f);
	}
	rcu_read_unlock();
	return busy;
}

/* Between two pieces of a write, with nothing locked: where Linux holds a writer back. Nothing is
 * throttled here, but the place may sleep. */
void balance_dirty_pages_ratelimited(address_space *mapping)
{
	FRAME(balance_dirty_pages_ratelimited);
	balance_dirty_pages_ratelimited_flags(mapping);
}

void balance_dirty_pages_ratelimited_flags(address_space *)
{
	FRAME(balance_dirty_pages_ratelimited_flags);
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->might_sleep(std::source_location::current());
}

} // namespace kernel
