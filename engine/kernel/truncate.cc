// SPDX-License-Identifier: GPL-2.0-only
// Truncating the page cache (mm/truncate.c of 6.12; the rest of that file is invalidate.cc).
//
// Left out: DAX, shmem, cleancache; AS_EXITING. A large folio that straddles the end of a truncated
// range is split; if that fails it keeps its size if it is dirty and leaves as a whole if it is clean.
//
// Lock order: folio lock -> i_mmap_rwsem (unmapping); folio lock -> i_lock -> i_pages.xa_lock.
// Several folio locks are only held as batches in ascending index order, taken with trylock.
#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/truncate_pages.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

loff_t folio_pos(const folio *f)
{
	return static_cast<loff_t>(f->index.load() * page_size());
}

loff_t round_up_to_page(loff_t pos)
{
	const loff_t size = page_size();
	return (pos + size - 1) / size * size;
}

} // namespace

void truncate_folio_batch_exceptionals(address_space *mapping, folio_batch *fbatch,
				       const pgoff_t *indices)
{
	FRAME(truncate_folio_batch_exceptionals);
	unsigned kept = 0;
	while (kept < fbatch->nr && !xa_is_value(fbatch->folios[kept]))
		kept++;
	if (kept == fbatch->nr)
		return;

	mapping->host->i_lock.lock();
	mapping->i_pages.xa_lock.lock();
	for (unsigned i = kept; i < fbatch->nr; i++) {
		folio *entry = fbatch->folios[i];
		if (!xa_is_value(entry)) {
			fbatch->folios[kept++] = entry;
			continue;
		}
		xa_state xas(&mapping->i_pages, indices[i]);
		if (xas_load(&xas) == entry)
			xas_store(&xas, nullptr);
	}
	mapping->i_pages.xa_lock.unlock();
	mapping->host->i_lock.unlock();
	fbatch->nr = kept;
}

namespace
{

/*
 * The part that the truncated range has of the folio at `index`, if one is cached. Returns the
 * folio's first index and the one after it if it stays in the cache although the caller should
 * not come across it again, else an empty range. May sleep.
 */
struct straddler {
	bool found = false; /* a folio was there */
	bool stays = false;
	pgoff_t index = 0;
	pgoff_t next = 0;
	loff_t end_pos = 0; /* the byte after it */
};

straddler truncate_straddler(address_space *mapping, pgoff_t index, loff_t start, loff_t end)
{
	straddler edge;
	folio *f = __filemap_get_folio(mapping, index, FGP_LOCK);
	if (IS_ERR(f))
		return edge;
	edge.found = true;
	edge.index = f->index.load();
	edge.next = folio_next_index(f);
	edge.end_pos = static_cast<loff_t>(edge.next * page_size());
	edge.stays = !truncate_inode_partial_folio(f, start, end);
	folio_unlock(f);
	folio_put(f);
	return edge;
}

} // namespace

/*
 * Bytes [offset, offset + len) of the folio are going away: the filesystem forgets what it keeps
 * about them. Folio lock held; may sleep.
 */
void folio_invalidate(folio *f, std::size_t offset, std::size_t len)
{
	FRAME(folio_invalidate);
	const address_space_operations *aops = f->mapping.load()->a_ops;
	if (aops->invalidate_folio != nullptr)
		aops->invalidate_folio(f, offset, len);
}

/*
 * Makes a folio that is about to leave the cache forget everything: mappings, private data, dirt.
 * It must be unmapped first, since a zapped dirty PTE becomes PG_dirty; the DIRTY mark stays until
 * the slot is erased. Folio lock held, not under writeback; may sleep.
 */
void forget_folio(folio *f)
{
	if (folio_mapped(f))
		unmap_mapping_folio(f);
	if (folio_needs_release(f))
		folio_invalidate(f, 0, folio_size(f));
	folio_cancel_dirty(f);
	folio_clear_mappedtodisk(f);
}

void truncate_cleanup_folio(folio *f)
{
	FRAME(truncate_cleanup_folio);
	forget_folio(f);
}

/* Folio lock held, not under writeback; may sleep. -EIO if it is not in this mapping any more. */
int truncate_inode_folio(address_space *mapping, folio *f)
{
	FRAME(truncate_inode_folio);
	if (f->mapping.load() != mapping)
		return -EIO;
	truncate_cleanup_folio(f);
	filemap_remove_folio(f);
	return 0;
}

/*
 * Truncates what the byte range [start, end] has of a folio: a folio wholly inside is removed,
 * another one gets the part zeroed. Folio lock held; may sleep. False if the folio remains although
 * whole pages of it should have gone.
 */
bool truncate_inode_partial_folio(folio *f, loff_t start, loff_t end)
{
	FRAME(truncate_inode_partial_folio);
	const std::size_t size = folio_size(f);
	const loff_t pos = folio_pos(f);
	const std::size_t offset = pos < start ? static_cast<std::size_t>(start - pos) : 0;
	const std::uint64_t pos_after = static_cast<std::uint64_t>(pos) + size;
	const std::size_t length = pos_after <= static_cast<std::uint64_t>(end)
					   ? size - offset
					   : static_cast<std::size_t>(end + 1 - pos) - offset;

	folio_wait_writeback(f);
	if (length == size) {
		truncate_inode_folio(f->mapping.load(), f);
		return true;
	}
	folio_zero_contents(f, offset, length);
	if (folio_needs_release(f))
		folio_invalidate(f, offset, length);
	if (!folio_test_large(f))
		return true;
	if (split_folio(f) == 0)
		return true;
	if (folio_test_dirty(f))
		return false;
	truncate_inode_folio(f->mapping.load(), f);
	return true;
}

/*
 * Removes the folios of the bytes [lstart, lend] (-1: to infinity) from the cache, dirty or not,
 * and zeroes the range's part of those at its edges. May sleep. The first pass takes what it can
 * lock at once and is not under writeback; the second waits for the rest, and starts again until
 * nothing is left. Whoever can add folios to the range must be kept out by the caller, or they
 * may survive.
 */
void truncate_inode_pages_range(address_space *mapping, loff_t lstart, loff_t lend)
{
	FRAME(truncate_inode_pages_range);
	if (mapping_empty(mapping))
		return;
	if (!patched(Patch::kFolioTruncate)) {
		truncate_pages_range(mapping, lstart, lend);
		return;
	}

	const pgoff_t size = page_size();
	pgoff_t start = (static_cast<pgoff_t>(lstart) + size - 1) / size;
	pgoff_t end = lend == -1 ? ~pgoff_t{ 0 } : (static_cast<pgoff_t>(lend) + 1) / size;
	folio_batch fbatch;
	pgoff_t indices[folio_batch::kMax];

	pgoff_t index = start;
	while (index < end && find_lock_entries(mapping, &index, end - 1, &fbatch, indices) != 0) {
		truncate_folio_batch_exceptionals(mapping, &fbatch, indices);
		for (unsigned i = 0; i < fbatch.nr; i++)
			truncate_cleanup_folio(fbatch.folios[i]);
		delete_from_page_cache_batch(mapping, &fbatch);
		for (unsigned i = 0; i < fbatch.nr; i++)
			folio_unlock(fbatch.folios[i]);
		folio_batch_release(&fbatch);
	}

	const pgoff_t first = static_cast<pgoff_t>(lstart) / size;
	const pgoff_t last = lend == -1 ? ~pgoff_t{ 0 } / size : static_cast<pgoff_t>(lend) / size;
	bool same_folio = first == last;
	straddler edge = truncate_straddler(mapping, first, lstart, lend);
	if (edge.found) {
		same_folio = lend != -1 && lend < edge.end_pos;
		if (edge.stays) {
			start = edge.next;
			if (same_folio)
				end = edge.index;
		}
	}
	if (!same_folio) {
		edge = truncate_straddler(mapping, last, lstart, lend);
		if (edge.stays)
			end = edge.index;
	}

	index = start;
	while (index < end) {
		if (find_get_entries(mapping, &index, end - 1, &fbatch, indices) == 0) {
			if (index == start)
				break;
			index = start;
			continue;
		}
		for (unsigned i = 0; i < fbatch.nr; i++) {
			folio *f = fbatch.folios[i];
			if (xa_is_value(f))
				continue;
			folio_lock(f);
			VM_BUG_ON_FOLIO(!folio_contains(f, indices[i]), f);
			folio_wait_writeback(f);
			truncate_inode_folio(mapping, f);
			folio_unlock(f);
		}
		truncate_folio_batch_exceptionals(mapping, &fbatch, indices);
		folio_batch_release(&fbatch);
	}
}

void truncate_inode_pages(address_space *mapping, loff_t start)
{
	FRAME(truncate_inode_pages);
	truncate_inode_pages_range(mapping, start, -1);
}

/* When the inode goes away: nobody else can reach the mapping. */
void truncate_inode_pages_final(address_space *mapping)
{
	FRAME(truncate_inode_pages_final);
	if (!mapping_empty(mapping)) {
		/* Lets whoever still marks a folio under the lock finish. */
		mapping->i_pages.xa_lock.lock();
		mapping->i_pages.xa_lock.unlock();
	}
	truncate_inode_pages(mapping, 0);
}

/*
 * Unmaps and removes everything beyond `newsize`, which i_size must already show. It unmaps twice:
 * before, so that few folios are unmapped one by one; after, since private copies may have been
 * made of folios meanwhile. May sleep.
 */
void truncate_pagecache(inode *node, loff_t newsize)
{
	FRAME(truncate_pagecache);
	address_space *mapping = node->i_mapping;
	const loff_t hole_begin = round_up_to_page(newsize);
	unmap_mapping_range(mapping, hole_begin, 0, true);
	truncate_inode_pages(mapping, newsize);
	unmap_mapping_range(mapping, hole_begin, 0, true);
}

/* For hole punching: [start, end] in bytes. Private copies stay mapped. May sleep. */
void truncate_pagecache_range(inode *node, loff_t start, loff_t end)
{
	FRAME(truncate_pagecache_range);
	const loff_t size = page_size();
	const loff_t unmap_start = round_up_to_page(start);
	const loff_t unmap_end = (1 + end) / size * size - 1;
	if (static_cast<std::uint64_t>(unmap_end) > static_cast<std::uint64_t>(unmap_start))
		unmap_mapping_range(node->i_mapping, unmap_start, 1 + unmap_end - unmap_start,
				    false);
	truncate_inode_pages_range(node->i_mapping, start, end);
}

/* The new size, and the cache to match it. i_rwsem held for write; may sleep. */
void truncate_setsize(inode *node, loff_t newsize)
{
	FRAME(truncate_setsize);
	const loff_t oldsize = node->i_size.load();
	i_size_write(node, newsize);
	if (newsize > oldsize)
		pagecache_isize_extended(node, oldsize, newsize);
	truncate_pagecache(node, newsize);
}

/*
 * The file grew from `from` to `to`: where blocks are smaller than pages, the page that holds
 * `from` has got blocks that were beyond the end, and must fault again before it is written
 * through a mapping. i_rwsem held for write, i_size already `to` or more; may sleep.
 */
void pagecache_isize_extended(inode *node, loff_t from, loff_t to)
{
	FRAME(pagecache_isize_extended);
	const loff_t block = this_machine().geo.block_size;
	const loff_t page = page_size();
	VM_WARN_ON_ONCE(to > node->i_size.look());
	if (from >= to || block >= page)
		return;
	if ((from + block - 1) / block * block >= to || from % page == 0)
		return;

	folio *f = filemap_lock_folio(node->i_mapping, static_cast<pgoff_t>(from / page));
	if (IS_ERR(f))
		return;
	if (folio_mkclean(f) != 0)
		folio_mark_dirty(f);
	/* What a mapping has stored behind the old end becomes part of the file: writeback, which
	 * would have zeroed it, comes too late. */
	if (patched(Patch::kIsizeExtendedZeroes) && folio_test_dirty(f)) {
		const loff_t pos = folio_pos(f);
		const loff_t end = std::min(to - pos, static_cast<loff_t>(folio_size(f)));
		folio_zero_contents(f, static_cast<std::size_t>(from - pos),
				    static_cast<std::size_t>(end - (from - pos)));
	}
	folio_unlock(f);
	folio_put(f);
}

} // namespace kernel
