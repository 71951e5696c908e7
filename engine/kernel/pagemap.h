// SPDX-License-Identifier: GPL-2.0-only
// The page cache: lookup, insertion, removal, locking, read, buffered write, readahead, truncate,
// invalidate (mm/filemap.c, mm/readahead.c, mm/truncate.c).
#pragma once

#include <cstddef>

#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"

namespace kernel
{

/* What ->read_folio and friends say when the folio left the mapping meanwhile: look it up again. */
inline constexpr int AOP_TRUNCATED_PAGE = 0x80001;

struct folio_batch {
	static constexpr unsigned kMax = 31;
	unsigned nr = 0;
	bool percpu_pvec_drained = false; /* folio_batch_release() has drained the LRU batch */
	folio *folios[kMax] = {};
};
/* Capacity is geometry.folio_batch. add returns the space left. */
unsigned folio_batch_add(folio_batch *fbatch, folio *f);
inline unsigned folio_batch_count(const folio_batch *fbatch)
{
	return fbatch->nr;
}
inline void folio_batch_init(folio_batch *fbatch)
{
	fbatch->nr = 0;
	fbatch->percpu_pvec_drained = false;
}
/* Drops a reference of each; the first time after init it drains the LRU batch. */
void folio_batch_release(folio_batch *fbatch);
void folio_batch_remove_exceptionals(folio_batch *fbatch);

/* The folio lock. */
void folio_lock(folio *f, std::source_location where = std::source_location::current());
bool folio_trylock(folio *f, std::source_location where = std::source_location::current());
void folio_unlock(folio *f, std::source_location where = std::source_location::current());
void folio_wait_locked(folio *f, std::source_location where = std::source_location::current());
/* Read I/O: the submitter's lock passes to the completion, which ends the read. */
void folio_end_read(folio *f, bool success);

/* Lookup (P8): referenced folios, any moment may take them out of the cache again. */
enum fgp_flags : unsigned {
	FGP_ACCESSED = 1,
	FGP_LOCK = 2,
	FGP_CREAT = 4,
	FGP_WRITE = 8,
	FGP_NOWAIT = 16,
	FGP_STABLE = 32,
	FGP_FOR_MMAP = 64, /* with FGP_CREAT: a new folio comes back unlocked */
	FGP_WRITEBEGIN = FGP_LOCK | FGP_WRITE | FGP_CREAT | FGP_STABLE,
};
void *filemap_get_entry(address_space *mapping, pgoff_t index);
folio *__filemap_get_folio(address_space *mapping, pgoff_t index, unsigned fgp); /* or ERR_PTR */
folio *filemap_get_folio(address_space *mapping, pgoff_t index);
folio *filemap_lock_folio(address_space *mapping, pgoff_t index);
/* Batches for truncate and invalidate; `start` advances. indices[] as long as the batch. */
unsigned find_lock_entries(address_space *mapping, pgoff_t *start, pgoff_t end, folio_batch *fbatch,
			   pgoff_t *indices);
unsigned find_get_entries(address_space *mapping, pgoff_t *start, pgoff_t end, folio_batch *fbatch,
			  pgoff_t *indices);
unsigned filemap_get_folios(address_space *mapping, pgoff_t *start, pgoff_t end,
			    folio_batch *fbatch);
unsigned filemap_get_folios_tag(address_space *mapping, pgoff_t *start, pgoff_t end, xa_mark_t tag,
				folio_batch *fbatch);
/* Contiguous uptodate-or-not folios from `index` for reads and faults. */
void filemap_get_read_batch(address_space *mapping, pgoff_t index, pgoff_t max,
			    folio_batch *fbatch);

/* Insertion and removal. */
int __filemap_add_folio(address_space *mapping, folio *f, pgoff_t index, gfp_t gfp, void **shadow);
int filemap_add_folio(address_space *mapping, folio *f, pgoff_t index, gfp_t gfp);
void filemap_remove_folio(folio *f); /* folio lock held */
void __filemap_remove_folio(folio *f, void *shadow); /* + xa_lock */
void delete_from_page_cache_batch(address_space *mapping, folio_batch *fbatch);
void filemap_free_folio(address_space *mapping, folio *f);
bool filemap_release_folio(folio *f, gfp_t gfp); /* true: no private data any more */
bool folio_needs_release(const folio *f);

/* Reads and writes (P13, P15). */
long filemap_read(file *f, loff_t pos, void *to, std::size_t len, long already_read);
long generic_file_read_iter(file *f, loff_t pos, void *to, std::size_t len);
long generic_perform_write(file *f, loff_t pos, const void *from, std::size_t len);
/* Its loop, for filesystems that have one of their own; `throttle` is called before each piece. */
long perform_write(file *f, loff_t pos, const void *from, std::size_t len,
		   void (*throttle)(address_space *));
long generic_file_write_iter(file *f, loff_t pos, const void *from, std::size_t len);
int filemap_read_folio(file *f, int (*filler)(file *, folio *), folio *fo);

/* Readahead (P14). */
struct readahead_control {
	file *f;
	address_space *mapping;
	pgoff_t index;
	unsigned nr_pages = 0; /* from index on, locked, in the cache, not yet read */
	unsigned batch_count = 0; /* of the folio that readahead_folio() gave last */
};
void page_cache_sync_readahead(address_space *mapping, file_ra_state *ra, file *f, pgoff_t index,
			       unsigned long req_count);
void page_cache_async_readahead(address_space *mapping, file_ra_state *ra, file *f, folio *fo,
				unsigned long req_count);
void page_cache_ra_unbounded(readahead_control *ractl, unsigned long nr_to_read,
			     unsigned long lookahead_size);
void force_page_cache_ra(readahead_control *ractl, const file_ra_state *ra,
			 unsigned long nr_to_read);
void page_cache_ra_order(readahead_control *ractl, file_ra_state *ra); /* from ra->start */
folio *readahead_folio(readahead_control *ractl); /* next one, locked; null at the end */

inline bool mapping_empty(address_space *mapping)
{
	return xa_empty(&mapping->i_pages);
}

/* Truncate and invalidate (P7, P10); byte ranges, end inclusive. */
void truncate_inode_pages_range(address_space *mapping, loff_t start, loff_t end);
void truncate_inode_pages(address_space *mapping, loff_t start);
void truncate_inode_pages_final(address_space *mapping);
void truncate_pagecache(inode *node, loff_t newsize);
void truncate_pagecache_range(inode *node, loff_t start, loff_t end);
void truncate_setsize(inode *node, loff_t newsize);
void pagecache_isize_extended(inode *node, loff_t from, loff_t to);
void truncate_cleanup_folio(folio *f);
int truncate_inode_folio(address_space *mapping, folio *f);
bool truncate_inode_partial_folio(folio *f, loff_t start, loff_t end);
/*
 * Cuts a large folio into single ones; the caller has it locked, with one reference, and keeps both
 * for the page it began with. May sleep. 0; -EBUSY: under writeback, truncated or with private data
 * that stays; -EAGAIN: somebody has a reference; -ENOMEM. huge_split.cc
 */
int split_folio(folio *f);
void folio_invalidate(folio *f, std::size_t offset, std::size_t len);
unsigned long mapping_try_invalidate(address_space *mapping, pgoff_t start, pgoff_t end,
				     unsigned long *nr_failed);
unsigned long invalidate_mapping_pages(address_space *mapping, pgoff_t start, pgoff_t end);
int invalidate_inode_pages2_range(address_space *mapping, pgoff_t start, pgoff_t end);
int invalidate_inode_pages2(address_space *mapping);
long mapping_evict_folio(address_space *mapping, folio *f);

/*
 * What the page cache has of the bytes [start, end): SEEK_DATA, the first that is uptodate, or -ENXIO;
 * SEEK_HOLE, the first that is not, or end. May sleep. filemap_seek.cc
 */
loff_t mapping_seek_hole_data(address_space *mapping, loff_t start, loff_t end, int whence);

/*
 * The folios of the pages from *start to end that are dirty or under writeback, or that somebody else
 * has locked, so that nobody can tell. Takes references. *start becomes the page behind them: end + 1,
 * or less if the batch is full. Does not sleep. filemap_seek.cc
 */
void filemap_get_folios_dirty(address_space *mapping, pgoff_t *start, pgoff_t end,
			      folio_batch *fbatch);

/* Faults (P12): see mm.h. */

} // namespace kernel
