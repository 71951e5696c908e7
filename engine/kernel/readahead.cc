// SPDX-License-Identifier: GPL-2.0-only
// Readahead: what to read before it is asked for, and how its folios come into the cache
// (mm/readahead.c of 6.12, and page_cache_{next,prev}_miss of mm/filemap.c).
//
// Left out: large folios (page_cache_ra_order always falls back to single pages), congestion, the
// device's io_pages, FMODE_RANDOM, readahead(2). A file whose ra_pages is 0 reads single pages.
//
// Locks: page_cache_ra_unbounded takes invalidate_lock shared, above the locks of the folios that
// it inserts; those pass to the completion of the read.
#include "engine/kernel/pagemap.h"

#include <algorithm>
#include <bit>

#include "engine/kernel/bug.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* ---- looking for holes; RCU ---- */

bool is_miss(const void *entry)
{
	return entry == nullptr || xa_is_value(entry);
}

/* The first index from `index` on without a folio, among max_scan; 0 if indices wrap around. */
pgoff_t page_cache_next_miss(address_space *mapping, pgoff_t index, unsigned long max_scan)
{
	xa_state xas(&mapping->i_pages, index);

	FRAME(page_cache_next_miss);
	for (unsigned long nr = max_scan; nr != 0; --nr) {
		if (is_miss(xas_next(&xas)))
			return xas.xa_index;
		if (xas.xa_index == 0)
			return 0;
	}
	return index + max_scan;
}

/* The same downwards; ~0 if everything down to 0 is there. */
pgoff_t page_cache_prev_miss(address_space *mapping, pgoff_t index, unsigned long max_scan)
{
	xa_state xas(&mapping->i_pages, index);

	FRAME(page_cache_prev_miss);
	for (unsigned long nr = max_scan; nr != 0; --nr) {
		xas_set(&xas, index);
		if (is_miss(xas_load(&xas)))
			return index;
		if (nr == 1 || index-- == 0)
			break;
	}
	return index;
}

/* ---- window sizes ---- */

unsigned get_init_ra_size(unsigned long size, unsigned long max)
{
	const unsigned long newsize = std::bit_ceil(size);

	if (newsize <= max / 32)
		return static_cast<unsigned>(newsize * 4);
	if (newsize <= max / 4)
		return static_cast<unsigned>(newsize * 2);
	return static_cast<unsigned>(max);
}

unsigned get_next_ra_size(const file_ra_state *ra, unsigned long max)
{
	if (ra->size < max / 16)
		return 4 * ra->size;
	if (ra->size <= max / 2)
		return 2 * ra->size;
	return static_cast<unsigned>(max);
}

/* ---- starting the I/O ---- */

/* Gives the folios collected in the control to the filesystem, locked, and forgets them. */
void read_pages(readahead_control *rac)
{
	const address_space_operations *aops = rac->mapping->a_ops;

	if (rac->nr_pages == 0)
		return;
	FRAME(read_pages);
	if (aops->readahead != nullptr) {
		aops->readahead(rac);
		/*
		 * What the filesystem did not want. The part that nobody asked for yet goes out of
		 * the cache, so that the next attempt starts there; the window shrinks to match.
		 */
		file_ra_state *ra = &rac->f->f_ra;
		while (folio *f = readahead_folio(rac)) {
			const unsigned nr = folio_nr_pages(f);

			folio_get(f);
			touch_ra_state(ra);
			ra->size -= nr;
			if (ra->async_size >= nr) {
				ra->async_size -= nr;
				filemap_remove_folio(f);
			}
			folio_unlock(f);
			folio_put(f);
		}
	} else {
		while (folio *f = readahead_folio(rac))
			aops->read_folio(rac->f, f);
	}
	BUG_ON(rac->nr_pages != 0);
}

/* Not beyond the page with the file's last byte. */
void do_page_cache_ra(readahead_control *ractl, unsigned long nr_to_read,
		      unsigned long lookahead_size)
{
	const loff_t isize = i_size_read(ractl->mapping->host);

	if (isize == 0)
		return;
	const auto end_index = static_cast<pgoff_t>(isize - 1) >> page_shift();
	if (ractl->index > end_index)
		return;
	nr_to_read = std::min<unsigned long>(nr_to_read, end_index - ractl->index + 1);
	page_cache_ra_unbounded(ractl, nr_to_read, lookahead_size);
}

} // namespace

/* Exactly what was asked for, up to the window; at least one page. */
void force_page_cache_ra(readahead_control *ractl, const file_ra_state *ra,
			 unsigned long nr_to_read)
{
	FRAME(force_page_cache_ra);
	touch_ra_state(ra);
	do_page_cache_ra(ractl, std::min<unsigned long>(nr_to_read, std::max(1u, ra->ra_pages)), 0);
}

void page_cache_ra_order(readahead_control *ractl, file_ra_state *ra)
{
	FRAME(page_cache_ra_order);
	touch_ra_state(ra);
	ractl->index = ra->start;
	do_page_cache_ra(ractl, ra->size, ra->async_size);
}

/*
 * The next folio of a ->readahead call: locked, in the cache, without a reference of the caller's
 * (the lock keeps it there). Null behind the last.
 */
folio *readahead_folio(readahead_control *ractl)
{
	BUG_ON(ractl->batch_count > ractl->nr_pages);
	ractl->nr_pages -= ractl->batch_count;
	ractl->index += ractl->batch_count;
	if (ractl->nr_pages == 0) {
		ractl->batch_count = 0;
		return nullptr;
	}
	auto *f = static_cast<folio *>(xa_load(&ractl->mapping->i_pages, ractl->index));
	VM_BUG_ON_FOLIO(!f->lock.look_locked(), f);
	ractl->batch_count = folio_nr_pages(f);
	folio_put(f);
	return f;
}

/*
 * Puts new folios where there are none in the nr_to_read pages from ractl->index on, and starts
 * reading them; the one lookahead_size before the end is marked PG_readahead. Errors are left to
 * whoever needs the data. Takes invalidate_lock shared; sleeps.
 */
void page_cache_ra_unbounded(readahead_control *ractl, unsigned long nr_to_read,
			     unsigned long lookahead_size)
{
	address_space *mapping = ractl->mapping;
	const pgoff_t index = ractl->index;
	unsigned long mark = ~0ul;
	unsigned long i = 0;

	FRAME(page_cache_ra_unbounded);
	/* Nobody can punch a hole or truncate between mapping the blocks and reading them. */
	filemap_fill_lock(mapping);
	if (lookahead_size <= nr_to_read)
		mark = nr_to_read - lookahead_size;
	ractl->nr_pages = 0;
	ractl->batch_count = 0;

	while (i < nr_to_read) {
		const void *entry = xa_load(&mapping->i_pages, index + i);

		if (is_miss(entry)) {
			folio *f = folio_alloc(0);
			if (f == nullptr)
				break;
			const int error = filemap_add_folio(mapping, f, index + i, 0);
			if (error == 0) {
				if (i == mark)
					folio_set_readahead(f);
				++ractl->nr_pages;
				++i;
				continue;
			}
			folio_put(f);
			if (error == -ENOMEM)
				break;
		}
		/* There is one: read what was collected before it, go on behind it. */
		read_pages(ractl);
		++ractl->index;
		i = ractl->index - index;
	}
	read_pages(ractl);
	filemap_fill_unlock(mapping);
}

/* A reader did not find the folio at `index`, of req_count that it wants. Sleeps. */
void page_cache_sync_readahead(address_space *mapping, file_ra_state *ra, file *f, pgoff_t index,
			       unsigned long req_count)
{
	readahead_control ractl{ f, mapping, index, 0, 0 };

	FRAME(page_cache_sync_ra);
	touch_ra_state(ra);
	/* Without readahead the page is read in the same way, alone. */
	if (ra->ra_pages == 0) {
		force_page_cache_ra(&ractl, ra, 1);
		return;
	}

	const unsigned long max_pages = ra->ra_pages;
	const auto prev_index =
		static_cast<pgoff_t>(static_cast<std::uint64_t>(ra->prev_pos) >> page_shift());
	if (index == 0 || req_count > max_pages || index - prev_index <= 1) {
		/* Start of the file, a large read, or the next page of a sequence. */
		ra->start = index;
		ra->size = get_init_ra_size(req_count, max_pages);
		ra->async_size = ra->size > req_count ? ra->size - static_cast<unsigned>(req_count)
						      : ra->size >> 1;
		page_cache_ra_order(&ractl, ra);
		return;
	}

	/* Traces of a sequence that lost its state? */
	rcu_read_lock();
	const pgoff_t miss = page_cache_prev_miss(mapping, index - 1, max_pages);
	rcu_read_unlock();
	unsigned long contig_count = index - miss - 1;
	if (contig_count <= req_count) {
		/* No: a small read somewhere. */
		do_page_cache_ra(&ractl, req_count, 0);
		return;
	}
	if (miss == ~pgoff_t{ 0 })
		contig_count *= 2;
	touch_ra_state(ra);
	ra->start = index;
	ra->size = static_cast<unsigned>(std::min(contig_count + req_count, max_pages));
	ra->async_size = 1;
	page_cache_ra_order(&ractl, ra);
}

/* A reader met a folio marked PG_readahead: time for the next window. Sleeps. */
void page_cache_async_readahead(address_space *mapping, file_ra_state *ra, file *f, folio *fo,
				unsigned long req_count)
{
	const pgoff_t index = fo->index.load();
	readahead_control ractl{ f, mapping, index, 0, 0 };

	FRAME(page_cache_async_ra);
	touch_ra_state(ra);
	if (ra->ra_pages == 0)
		return;
	/* Linux has one bit for PG_readahead and PG_reclaim. */
	if (folio_test_writeback(fo))
		return;
	folio_clear_readahead(fo);

	touch_ra_state(ra);
	const unsigned long max_pages = ra->ra_pages;
	const pgoff_t window_end = ra->start + ra->size - ra->async_size;
	const pgoff_t expected = window_end & ~pgoff_t{ folio_nr_pages(fo) - 1 };
	if (index == expected) {
		ra->start += ra->size;
		ra->size = std::max(ra->size, get_next_ra_size(ra, max_pages));
		ra->async_size = ra->size;
		page_cache_ra_order(&ractl, ra);
		return;
	}

	/* Somebody else's mark. What is cached behind it tells how far that one got. */
	rcu_read_lock();
	const pgoff_t start = page_cache_next_miss(mapping, index + 1, max_pages);
	rcu_read_unlock();
	if (start == 0 || start - index > max_pages)
		return;
	touch_ra_state(ra);
	ra->start = start;
	ra->size = static_cast<unsigned>(start - index + req_count);
	ra->size = get_next_ra_size(ra, max_pages);
	ra->async_size = ra->size;
	page_cache_ra_order(&ractl, ra);
}

} // namespace kernel
