// SPDX-License-Identifier: GPL-2.0-only
// Folios: allocation, references, contents, private data, freeing (include/linux/mm.h,
// page_ref.h, pagemap.h, __folio_put() of mm/swap.c; 6.12).
//
// Left out: zones, memcg charges, the per-page fields of struct page, hugetlb. Taking pages from
// the free lists is one step that always works unless the run injects a failure.
//
// Freeing can take lru_lock; otherwise no locks.
#include "engine/kernel/folio.h"

#include <cstring>
#include <new>

#include "engine/kernel/block_types.h"
#include "engine/kernel/bug.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass folio_lock_class{ "folio lock" };

interleaf::Arena &arena()
{
	return interleaf::Scheduler::instance()->arena();
}

/*
 * One step per page: what is copied within it is not torn. Marked, because the kernel's users may
 * read and write file pages at the same time as they like.
 */
void touch_page(interleaf::Op op, const folio *f, std::size_t page, std::source_location where)
{
	interleaf::ObjectNumber &number = f->content_numbers[page];
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->point(op, number, &number, true, where);
}

/* Calls piece(bytes done so far, offset in the folio, length) within each page of a byte range. */
template <typename Piece>
void for_each_page(const folio *f, std::size_t offset, std::size_t len, interleaf::Op op,
		   std::source_location where, Piece piece)
{
	const std::size_t size = page_size();
	CHECK(offset <= folio_size(f) && len <= folio_size(f) - offset);
	for (std::size_t done = 0; done < len;) {
		const std::size_t at = offset + done;
		const std::size_t left = size - at % size;
		const std::size_t step = left < len - done ? left : len - done;
		touch_page(op, f, at / size, where);
		piece(done, at, step);
		done += step;
	}
}

/*
 * What the page allocator's debug checks want to see (free_page_is_bad()). Nobody can see the
 * folio any more, so these are no points.
 */
void free_page_checks(const folio *f)
{
	VM_BUG_ON_FOLIO(f->lock.look_locked(), f);
	VM_BUG_ON_FOLIO(f->flags.look(PG_writeback), f);
	VM_BUG_ON_FOLIO(f->flags.look(PG_lru), f);
	VM_BUG_ON_FOLIO(f->flags.look(PG_active), f);
	VM_BUG_ON_FOLIO(f->flags.look(PG_private), f);
	VM_BUG_ON_FOLIO(f->_mapcount.look() != 0, f);
	VM_BUG_ON_FOLIO(f->_pincount.peek() != 0, f); /* each had a reference */
	VM_BUG_ON_FOLIO(f->mapping.look() != nullptr && !folio_test_anon(f), f);
}

/*
 * Everything but the reference count and the lock bit goes bad. The pointers to the contents stay, and lead to
 * freed memory, so that a late access makes a finding and not a wild pointer; the number is ours.
 */
void free_folio_memory(folio *f)
{
	const unsigned number = f->number;
	unsigned char *contents = f->contents;
	interleaf::ObjectNumber *content_numbers = f->content_numbers;

	interleaf::Scheduler *scheduler = interleaf::Scheduler::instance();
	scheduler->free(contents);
	scheduler->free(content_numbers);
	auto *begin = reinterpret_cast<unsigned char *>(f);
	const auto kept =
		static_cast<std::size_t>(reinterpret_cast<unsigned char *>(&f->flags) - begin);
	scheduler->freed(begin + kept, sizeof(folio) - kept);
	std::memset(begin + kept, interleaf::kPoisonByte, sizeof(folio) - kept);
	f->number = number;
	f->contents = contents;
	f->content_numbers = content_numbers;
}

/* Back to the page allocator, checked: off the LRU, no references. */
void free_unref_folio(folio *f)
{
	free_page_checks(f);
	free_folio_memory(f);
}

folio *__folio_alloc(unsigned order)
{
	FRAME(__folio_alloc_noprof);
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->might_sleep(std::source_location::current());
	if (should_fail("folio_alloc"))
		return nullptr;
	return new_folio(order);
}

} // namespace

void free_unref_folios(folio **folios, unsigned nr)
{
	FRAME(free_unref_folios);
	for (unsigned i = 0; i < nr; i++)
		free_unref_folio(folios[i]);
}

folio *new_folio(unsigned order)
{
	return new (arena().allocate(sizeof(folio), alignof(folio), &folio_block)) folio(order);
}

/* The last reference is gone: count zero. */
void __folio_put(folio *f)
{
	FRAME(__folio_put);
	__page_cache_release(f);
	free_unref_folio(f);
}

void folio_become_single(folio *f)
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(interleaf::Op::kWrite, f->life, f);
	f->order = 0;
}

folio::folio(unsigned nr_order)
	: lock(folio_lock_class), order(nr_order), number(++this_machine().folio_numbers)
{
	const unsigned nr = 1u << nr_order;
	const std::size_t size = std::size_t{ page_size() } << nr_order;
	contents = static_cast<unsigned char *>(arena().allocate(size, 16, &contents_block));
	content_numbers = static_cast<interleaf::ObjectNumber *>(
		arena().allocate(nr * sizeof(interleaf::ObjectNumber), 16, &content_numbers_block));
	for (unsigned i = 0; i < nr; i++)
		new (&content_numbers[i]) interleaf::ObjectNumber;
}

void folio_use_after_free(const folio *f)
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	CHECK(scheduler != nullptr);
	scheduler->report(interleaf::FindingKind::kUseAfterFree, folio_block.role_name(),
			  "freed folio " + std::to_string(f->number) + " was used", true);
}

std::size_t folio_size(const folio *f)
{
	return std::size_t{ page_size() } << folio_order(f);
}

/* May sleep. */
folio *folio_alloc(unsigned order)
{
	FRAME(folio_alloc);
	return __folio_alloc(order);
}

void folio_get(folio *f, std::source_location where)
{
	f->_refcount.get(where);
}

void folio_ref_add(folio *f, int count, std::source_location where)
{
	f->_refcount.add(count, where);
}

bool folio_try_get(folio *f, std::source_location where)
{
	return f->_refcount.try_get(1, where);
}

void folio_put(folio *f, std::source_location where)
{
	folio_put_refs(f, 1, where);
}

/* May not sleep; takes lru_lock if the folio is freed. */
void folio_put_refs(folio *f, int count, std::source_location where)
{
	if (f->_refcount.put(count, where))
		__folio_put(f);
}

/* Drops a reference of each; those whose last one it was are freed together, at the end. `folios`
 * is changed. May not sleep; may take lru_lock. */
void folios_put_refs(folio **folios, unsigned nr)
{
	FRAME(folios_put_refs);
	unsigned unused = 0;
	for (unsigned i = 0; i < nr; i++) {
		if (!folios[i]->_refcount.put(1))
			continue;
		__page_cache_release(folios[i]);
		folios[unused++] = folios[i];
	}
	if (unused != 0)
		free_unref_folios(folios, unused);
}

int folio_ref_count(const folio *f, std::source_location where)
{
	return f->_refcount.read(where);
}

/*
 * From `count` to zero, if it is `count`: no walker can get a reference until the unfreeze. Pairs
 * with folio_try_get().
 */
bool folio_ref_freeze(folio *f, int count, std::source_location where)
{
	return f->_refcount.freeze(count, where);
}

void folio_ref_unfreeze(folio *f, int count, std::source_location where)
{
	f->_refcount.unfreeze(count, where);
}

int folio_mapcount(const folio *f, std::source_location where)
{
	return f->_mapcount.read(where);
}

bool folio_mapped(const folio *f, std::source_location where)
{
	return folio_mapcount(f, where) > 0;
}

/* Needs no lock: a snapshot of things that change one by one. */
int folio_expected_ref_count(const folio *f)
{
	int expected = folio_mapcount(f);
	if (!folio_test_anon(f))
		expected += static_cast<int>(folio_nr_pages(f));
	if (folio_test_private(f))
		expected++;
	return expected;
}

void folio_read_contents(const folio *f, std::size_t offset, void *to, std::size_t len,
			 std::source_location where)
{
	auto *bytes = static_cast<unsigned char *>(to);
	for_each_page(f, offset, len, interleaf::Op::kRead, where,
		      [&](std::size_t done, std::size_t at, std::size_t step) {
			      std::memcpy(bytes + done, f->contents + at, step);
		      });
}

void folio_write_contents(folio *f, std::size_t offset, const void *from, std::size_t len,
			  std::source_location where)
{
	const auto *bytes = static_cast<const unsigned char *>(from);
	for_each_page(f, offset, len, interleaf::Op::kWrite, where,
		      [&](std::size_t done, std::size_t at, std::size_t step) {
			      std::memcpy(f->contents + at, bytes + done, step);
		      });
}

void folio_zero_contents(folio *f, std::size_t offset, std::size_t len, std::source_location where)
{
	for_each_page(f, offset, len, interleaf::Op::kWrite, where,
		      [&](std::size_t, std::size_t at, std::size_t step) {
			      std::memset(f->contents + at, 0, step);
		      });
}

/*
 * The source is read in the step that reads it. The target's write comes a step earlier: it is a
 * page that nobody reads before it is uptodate or mapped.
 */
void folio_copy_page(folio *to, unsigned to_page, const folio *from, unsigned from_page,
		     std::source_location where)
{
	const std::size_t size = page_size();
	CHECK(to_page < folio_nr_pages(to) && from_page < folio_nr_pages(from));
	touch_page(interleaf::Op::kWrite, to, to_page, where);
	touch_page(interleaf::Op::kRead, from, from_page, where);
	std::memcpy(to->contents + to_page * size, from->contents + from_page * size, size);
}

/* Folio lock held, or nobody else knows the folio. */
void folio_attach_private(folio *f, void *data)
{
	folio_get(f);
	f->private_data.store(data);
	folio_set_private(f);
}

/* Folio lock held. Null if there was none. */
void *folio_detach_private(folio *f)
{
	void *data = folio_get_private(f);
	if (!folio_test_private(f))
		return nullptr;
	folio_clear_private(f);
	f->private_data.store(nullptr);
	folio_put(f);
	return data;
}

/* Stable only under the folio lock. */
address_space *folio_mapping(const folio *f, std::source_location where)
{
	FRAME(folio_mapping);
	return folio_test_anon(f) ? nullptr : f->mapping.load(where);
}

/* Stable only under the folio lock, as the index. */
pgoff_t folio_next_index(const folio *f)
{
	return f->index.load() + folio_nr_pages(f);
}

bool folio_contains(const folio *f, pgoff_t index)
{
	return index - f->index.load() < folio_nr_pages(f);
}

} // namespace kernel
