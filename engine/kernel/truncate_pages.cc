// SPDX-License-Identifier: GPL-2.0-only
// Truncate and its lookups as they were before they knew folios (mm/truncate.c and mm/filemap.c of
// 5.14 and 5.15). A huge page has one slot per page then, all with a pointer to the head; slots are
// erased one by one under xa_lock while lookups, which take RCU only, go on. So a lookup may begin
// in the middle of a huge page.
//
// What is below truncate_inode_page() and delete_from_page_cache_batch() is shared with 6.12, with
// its names and with i_lock around xa_lock, which came later.
//
// Left out: as in truncate.cc; invalidate_inode_pages2_range() is 6.12's.
//
// Lock order: as in truncate.cc.
#include "engine/kernel/truncate_pages.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/filemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* Lies in the folio, which is the page's head; PageTail() unless it is the first one. */
struct page {
	folio *f;
	unsigned number;
};

struct page find_subpage(folio *head, pgoff_t index)
{
	return { head, static_cast<unsigned>(index & (folio_nr_pages(head) - 1)) };
}

bool PageTail(struct page page)
{
	return page.number != 0;
}

pgoff_t look_page_to_index(struct page page)
{
	return page.f->index.look() + page.number;
}

/* A tail's own field has another meaning: it equals no mapping. */
bool page_mapping_is(struct page page, const address_space *mapping)
{
	return !PageTail(page) && page.f->mapping.load() == mapping;
}

/* The field of the head. */
address_space *page_mapping(struct page page)
{
	return page.f->mapping.load();
}

/*
 * Locks the folio that was found at `index` unless that takes waiting. False: it is not for this
 * batch, and not locked. Its reference stays.
 */
bool lock_entry(const address_space *mapping, pgoff_t start, pgoff_t end, pgoff_t index, folio *f)
{
	const pgoff_t base = f->index.load();
	if (base < start)
		return false;
	if (!patched(Patch::kNoIndexAssert) && f->index.look() != index)
		bug("VM_BUG_ON_PAGE(page->index != xas.xa_index)");
	if (base + folio_nr_pages(f) - 1 > end)
		return false;
	if (!folio_trylock(f))
		return false;
	if (f->mapping.load() != mapping || folio_test_writeback(f)) {
		folio_unlock(f);
		return false;
	}
	VM_BUG_ON_FOLIO(index - f->index.look() >= folio_nr_pages(f), f);
	return true;
}

/* What find_get_entry() gave is no value entry: behind a huge page the search goes on. */
void skip_huge_page(xa_state *xas, const folio *f)
{
	if (folio_test_large(f))
		xas_set(xas, folio_next_index(f));
}

/* As find_get_entries(), unlocked; the batch ends with the first huge page, whichever page of it
 * the slot is: find_subpage() of the folio and its index says which. */
unsigned find_get_page_entries(address_space *mapping, pgoff_t start, pgoff_t end,
			       folio_batch *fbatch, pgoff_t *indices)
{
	FRAME(find_get_entries);
	xa_state xas(&mapping->i_pages, start);

	rcu_read_lock();
	while (void *entry = find_get_entry(&xas, end, XA_PRESENT)) {
		auto *f = static_cast<folio *>(entry);
		indices[fbatch->nr] = xas.xa_index;
		if (folio_batch_add(fbatch, f) == 0)
			break;
		if (!xa_is_value(entry) && folio_test_large(f))
			break;
	}
	rcu_read_unlock();
	return folio_batch_count(fbatch);
}

void truncate_cleanup_page(folio *f)
{
	FRAME(truncate_cleanup_page);
	forget_folio(f);
}

/* Page lock held, not under writeback; may sleep. -EIO if it is not in this mapping any more. */
int truncate_inode_page(address_space *mapping, struct page page)
{
	FRAME(truncate_inode_page);
	if (!patched(Patch::kNoTailAssert))
		VM_BUG_ON_PAGE(PageTail(page), page);
	if (!page_mapping_is(page, mapping))
		return -EIO;
	truncate_cleanup_page(page.f);
	filemap_remove_folio(page.f);
	return 0;
}

/* Zeroes the bytes [offset, offset + len) of the page at `index`, if it is cached. May sleep. */
void truncate_partial_page(address_space *mapping, pgoff_t index, std::size_t offset,
			   std::size_t len)
{
	folio *f = filemap_lock_folio(mapping, index);
	if (IS_ERR(f))
		return;
	const struct page page = find_subpage(f, index);

	folio_wait_writeback(f);
	folio_zero_contents(f, page.number * page_size() + offset, len);
	if (!PageTail(page) && folio_needs_release(f))
		folio_invalidate(f, offset, len);
	folio_unlock(f);
	folio_put(f);
}

/*
 * The pass that waits. What a lookup found may have left the cache by the time it is locked, and
 * truncate_inode_page() says so, if it is asked: a tail it does not expect.
 */
void truncate_remaining_pages(address_space *mapping, pgoff_t start, pgoff_t end)
{
	folio_batch fbatch;
	pgoff_t indices[folio_batch::kMax];

	for (pgoff_t index = start;; ++index) {
		if (find_get_page_entries(mapping, index, end - 1, &fbatch, indices) == 0) {
			if (index == start)
				break;
			/* Wraps around: the loop begins with `start` again. */
			index = start - 1;
			continue;
		}
		for (unsigned i = 0; i < fbatch.nr; i++) {
			folio *f = fbatch.folios[i];
			index = indices[i];
			if (xa_is_value(f))
				continue;
			const struct page page = find_subpage(f, index);
			folio_lock(f);
			if (patched(Patch::kTruncateRecheck) && page_mapping(page) != mapping) {
				folio_unlock(f);
				index = start - 1;
				break;
			}
			VM_WARN_ON_ONCE(look_page_to_index(page) != index);
			folio_wait_writeback(f);
			truncate_inode_page(mapping, page);
			folio_unlock(f);
		}
		truncate_folio_batch_exceptionals(mapping, &fbatch, indices);
		folio_batch_release(&fbatch);
	}
}

} // namespace

unsigned find_lock_pages(address_space *mapping, pgoff_t start, pgoff_t end, folio_batch *fbatch,
			 pgoff_t *indices)
{
	FRAME(find_lock_entries);
	xa_state xas(&mapping->i_pages, start);

	rcu_read_lock();
	while (void *entry = find_get_entry(&xas, end, XA_PRESENT)) {
		auto *f = static_cast<folio *>(entry);
		const pgoff_t index = xas.xa_index;

		if (xa_is_value(entry)) {
			indices[fbatch->nr] = index;
			if (folio_batch_add(fbatch, f) == 0)
				break;
		} else if (lock_entry(mapping, start, end, index, f)) {
			indices[fbatch->nr] = index;
			if (folio_batch_add(fbatch, f) == 0)
				break;
			skip_huge_page(&xas, f);
		} else if (patched(Patch::kPutAfterSkip)) {
			skip_huge_page(&xas, f);
			folio_put(f);
		} else {
			folio_put(f);
			skip_huge_page(&xas, f);
		}
	}
	rcu_read_unlock();
	return folio_batch_count(fbatch);
}

void truncate_pages_range(address_space *mapping, loff_t lstart, loff_t lend)
{
	const pgoff_t size = page_size();
	const std::size_t partial_start = static_cast<pgoff_t>(lstart) & (size - 1);
	std::size_t partial_end = (static_cast<pgoff_t>(lend) + 1) & (size - 1);
	const pgoff_t start = (static_cast<pgoff_t>(lstart) + size - 1) / size;
	const pgoff_t end = lend == -1 ? ~pgoff_t{ 0 } : (static_cast<pgoff_t>(lend) + 1) / size;
	folio_batch fbatch;
	pgoff_t indices[folio_batch::kMax];

	pgoff_t index = start;
	while (index < end && find_lock_pages(mapping, index, end - 1, &fbatch, indices) != 0) {
		index = indices[fbatch.nr - 1] + 1;
		truncate_folio_batch_exceptionals(mapping, &fbatch, indices);
		for (unsigned i = 0; i < fbatch.nr; i++)
			truncate_cleanup_page(fbatch.folios[i]);
		delete_from_page_cache_batch(mapping, &fbatch);
		for (unsigned i = 0; i < fbatch.nr; i++)
			folio_unlock(fbatch.folios[i]);
		folio_batch_release(&fbatch);
	}

	if (partial_start != 0) {
		std::size_t top = size;
		if (start > end) {
			top = partial_end;
			partial_end = 0;
		}
		truncate_partial_page(mapping, start - 1, partial_start, top - partial_start);
	}
	if (partial_end != 0)
		truncate_partial_page(mapping, end, 0, partial_end);
	if (start < end)
		truncate_remaining_pages(mapping, start, end);
}

} // namespace kernel
