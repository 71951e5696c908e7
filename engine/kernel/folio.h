// SPDX-License-Identifier: GPL-2.0-only
// struct folio: flags, lock, references, place in a mapping, contents.
//
// A freed folio keeps its reference count readable (zero), as struct page memory does, since RCU
// walkers try to take references on whatever they find, and its lock bit (clear), since they may look
// at that before. Taking the lock, or touching any other field, is a use after free. Folios are not
// handed out again within a run.
//
// References: the page cache holds folio_nr_pages(), every mapped page one, LRU isolation one, a
// lookup one, attached private data one, who stores to users' pages one or many (gup.h).
#pragma once

#include <cstddef>

#include "engine/kernel/config.h"
#include "engine/kernel/machine.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/bit_lock.h"
#include "scheduler/sync/refcount.h"
#include "scheduler/sync/shared.h"

namespace kernel
{

struct address_space;
struct vm_area_struct;

enum pageflags : unsigned {
	PG_referenced,
	PG_uptodate,
	PG_dirty,
	PG_lru,
	PG_active,
	PG_workingset,
	PG_private,
	PG_reclaim,
	PG_writeback,
	PG_mappedtodisk,
	PG_readahead,
	PG_error,
	PG_anon, /* of our own: stands for the low bit of folio->mapping */
	NR_PAGEFLAGS,
};

struct folio {
	interleaf::Refcount _refcount{ "folio", 1 };
	interleaf::BitLock lock; /* PG_locked */
	mutable interleaf::BitFlags<NR_PAGEFLAGS> flags;
	interleaf::Shared<address_space *> mapping;
	interleaf::Shared<pgoff_t> index;
	interleaf::Shared<void *> private_data;
	interleaf::Atomic<int> _mapcount; /* PTEs (and PMDs) that map it, in all */
	interleaf::Atomic<int> _pincount; /* pins of a large folio; gup.h */
	unsigned order = 0;
	unsigned number = 0; /* 1, 2, ...: its name in reports */
	unsigned char *contents = nullptr; /* folio_size() bytes */
	interleaf::ObjectNumber *content_numbers = nullptr; /* one per page */
	mutable interleaf::ObjectNumber life; /* read with the order, which ends with the folio */
	folio *lru_prev = nullptr; /* swap.cc */
	folio *lru_next = nullptr;
	folio *list_next = nullptr; /* private lists of whoever isolated it */

	explicit folio(unsigned nr_order);
};

/* The order changes only in a split, while nobody else has a reference, so reading it is no point,
 * but part of the step under way. In a freed folio it is poisoned. */
void folio_use_after_free(const folio *f);
inline unsigned folio_order(const folio *f)
{
	if (f->order >= interleaf::kPoisoned) [[unlikely]]
		folio_use_after_free(f);
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(interleaf::Op::kRead, f->life, f);
	return f->order;
}
inline unsigned folio_nr_pages(const folio *f)
{
	return 1u << folio_order(f);
}
std::size_t folio_size(const folio *f);
inline bool folio_test_large(const folio *f)
{
	return folio_order(f) != 0;
}

/* Splitting: the folio keeps its first page only, its references are frozen; new_folio() makes the
 * others, which in Linux are there already. */
void folio_become_single(folio *f);
folio *new_folio(unsigned order);

/* Allocation: order 0 or more, one reference, contents undefined; null if it fails (a choice). */
folio *folio_alloc(unsigned order);
void folio_get(folio *f, std::source_location where = std::source_location::current());
void folio_ref_add(folio *f, int count,
		   std::source_location where = std::source_location::current());
bool folio_try_get(folio *f, std::source_location where = std::source_location::current());
/* Drops references; frees the folio with the last one (checks I11: not locked, not mapped, ...). */
void folio_put(folio *f, std::source_location where = std::source_location::current());
/* Frees a folio whose last reference is gone, or frozen for good. */
void __folio_put(folio *f);
/* The same, several that are off the LRU already; there may be none. */
void free_unref_folios(folio **folios, unsigned nr);
void folio_put_refs(folio *f, int count,
		    std::source_location where = std::source_location::current());
void folios_put_refs(folio **folios, unsigned nr);
int folio_ref_count(const folio *f, std::source_location where = std::source_location::current());
bool folio_ref_freeze(folio *f, int count,
		      std::source_location where = std::source_location::current());
void folio_ref_unfreeze(folio *f, int count,
			std::source_location where = std::source_location::current());
int folio_mapcount(const folio *f, std::source_location where = std::source_location::current());
bool folio_mapped(const folio *f, std::source_location where = std::source_location::current());
/* What a folio that nobody else looks at has: cache + mapcount + private (P5, scan). */
int folio_expected_ref_count(const folio *f);

/* Flags: folio_test_dirty(f), folio_set_dirty(f), folio_clear_dirty(f), ... one point each. */
#define KERNEL_FOLIO_FLAG(name, bit)                                                               \
	inline bool folio_test_##name(const folio *f, std::source_location where =                 \
							      std::source_location::current())     \
	{                                                                                          \
		return f->flags.test(bit, where);                                                  \
	}                                                                                          \
	inline void folio_set_##name(folio *f,                                                     \
				     std::source_location where = std::source_location::current()) \
	{                                                                                          \
		f->flags.set(bit, where);                                                          \
	}                                                                                          \
	inline void folio_clear_##name(folio *f, std::source_location where =                      \
							 std::source_location::current())          \
	{                                                                                          \
		f->flags.clear(bit, where);                                                        \
	}                                                                                          \
	inline bool folio_test_set_##name(folio *f, std::source_location where =                   \
							    std::source_location::current())       \
	{                                                                                          \
		return f->flags.test_and_set(bit, where);                                          \
	}                                                                                          \
	inline bool folio_test_clear_##name(folio *f, std::source_location where =                 \
							      std::source_location::current())     \
	{                                                                                          \
		return f->flags.test_and_clear(bit, where);                                        \
	}
KERNEL_FOLIO_FLAG(referenced, PG_referenced)
KERNEL_FOLIO_FLAG(uptodate, PG_uptodate)
KERNEL_FOLIO_FLAG(dirty_flag, PG_dirty) /* folio_set_dirty_flag: the bare flag; see filemap */
KERNEL_FOLIO_FLAG(lru, PG_lru)
KERNEL_FOLIO_FLAG(active, PG_active)
KERNEL_FOLIO_FLAG(workingset, PG_workingset)
KERNEL_FOLIO_FLAG(private, PG_private)
KERNEL_FOLIO_FLAG(reclaim, PG_reclaim)
KERNEL_FOLIO_FLAG(writeback, PG_writeback)
KERNEL_FOLIO_FLAG(mappedtodisk, PG_mappedtodisk)
KERNEL_FOLIO_FLAG(readahead, PG_readahead)
#undef KERNEL_FOLIO_FLAG

inline bool folio_test_dirty(const folio *f,
			     std::source_location where = std::source_location::current())
{
	return f->flags.test(PG_dirty, where);
}
inline bool folio_test_anon(const folio *f)
{
	return f->flags.peek(PG_anon);
}
inline bool folio_test_locked(const folio *f,
			      std::source_location where = std::source_location::current())
{
	return f->lock.is_locked(where);
}

/*
 * Contents. One point per page of the folio that is touched; offsets and lengths in bytes, within
 * the folio. peek_* make no point (oracle, reports).
 */
void folio_read_contents(const folio *f, std::size_t offset, void *to, std::size_t len,
			 std::source_location where = std::source_location::current());
void folio_write_contents(folio *f, std::size_t offset, const void *from, std::size_t len,
			  std::source_location where = std::source_location::current());
void folio_zero_contents(folio *f, std::size_t offset, std::size_t len,
			 std::source_location where = std::source_location::current());
/* Copies a whole page: copy_highpage(). */
void folio_copy_page(folio *to, unsigned to_page, const folio *from, unsigned from_page,
		     std::source_location where = std::source_location::current());

/* Private data (buffers): attach takes a reference, detach drops it and returns the data. */
void folio_attach_private(folio *f, void *data);
void *folio_detach_private(folio *f);
inline void *folio_get_private(const folio *f,
			       std::source_location where = std::source_location::current())
{
	return f->private_data.load(where);
}

/* The file that it is a page of; null if there is none (any more). */
address_space *folio_mapping(const folio *f,
			     std::source_location where = std::source_location::current());

/* The page cache index after the folio's last page, and whether it covers `index`. */
pgoff_t folio_next_index(const folio *f);
bool folio_contains(const folio *f, pgoff_t index);

/* LRU (swap.cc): per-CPU add batches, isolation. One CPU per task. */
void folio_add_lru(folio *f); /* into this task's batch; takes a reference */
void lru_add_drain(); /* this task's batch */
void lru_add_drain_all(); /* everybody's */
bool folio_isolate_lru(folio *f); /* takes a reference if it was on the LRU */
void folio_putback_lru(folio *f); /* and drops it */
void folio_mark_accessed(folio *f);
void deactivate_file_folio(folio *f); /* invalidate could not drop it: soon to be reclaimed */
void __page_cache_release(folio *f); /* its last reference is gone: off the LRU */
/* lru_lock, for splits: the tail goes where the head is, which is on a list. */
void folio_lruvec_lock();
void unlock_page_lruvec();
void lru_add_page_tail(folio *head, folio *tail);
void lru_init(machine &m);
/* For tests and reports, no points: is the folio on one of the LRU lists? */
bool lru_peek(const folio *f);

} // namespace kernel
