// SPDX-License-Identifier: GPL-2.0-only
// The XArray: a radix tree of nodes with geometry.xa_slots slots, multi-index entries (one entry
// in the first slot of an aligned power-of-two range, sibling entries in the others), and three
// marks per slot that propagate to the root. Writers hold xa_lock; readers hold xa_lock or RCU and
// see slots change one at a time. Nodes are freed through RCU. Follows lib/xarray.c of 6.12.
#pragma once

#include <cstdint>

#include "engine/kernel/config.h"
#include "scheduler/sync/rcu.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"

namespace kernel
{

enum xa_mark_t : unsigned { XA_MARK_0, XA_MARK_1, XA_MARK_2, XA_MARKS_MAX };
inline constexpr xa_mark_t PAGECACHE_TAG_DIRTY = XA_MARK_0;
inline constexpr xa_mark_t PAGECACHE_TAG_WRITEBACK = XA_MARK_1;
inline constexpr xa_mark_t PAGECACHE_TAG_TOWRITE = XA_MARK_2;

struct xa_node;

/* Value entries (shadows): an integer with bit 0 set in the pointer. */
inline void *xa_mk_value(std::uintptr_t value)
{
	return reinterpret_cast<void *>(value << 1 | 1);
}
inline bool xa_is_value(const void *entry)
{
	return (reinterpret_cast<std::uintptr_t>(entry) & 1) != 0;
}
inline std::uintptr_t xa_to_value(const void *entry)
{
	return reinterpret_cast<std::uintptr_t>(entry) >> 1;
}

/* Internal entries, bits 10 at the end: siblings, "retry", nodes, and errors of xa_store(). */
inline bool xa_is_internal(const void *entry)
{
	return (reinterpret_cast<std::uintptr_t>(entry) & 3) == 2;
}
/* The slot belongs to a multi-index entry that starts in an earlier slot (see xas_next()). */
inline bool xa_is_sibling(const void *entry)
{
	return xa_is_internal(entry) && reinterpret_cast<std::uintptr_t>(entry) < 64 * 4;
}
inline int xa_err(const void *entry)
{
	const auto bits = reinterpret_cast<std::intptr_t>(entry);
	return xa_is_internal(entry) && bits < 0 && bits >= -4 * 4096 ? static_cast<int>(bits >> 2)
								      : 0;
}

struct xarray {
	interleaf::Spinlock xa_lock;
	unsigned xa_chunk_shift; /* log2 of the slots of a node */
	interleaf::Shared<void *> xa_head; /* an entry at index 0, a node, or null */
	interleaf::Shared<std::uint32_t> xa_marks; /* bit m: mark m is set somewhere */

	xarray();
};

/*
 * A walker: position and state as in the kernel. Its node is null (at the root entry), a node, or
 * says "bounds", "restart" or an error.
 */
struct xa_state {
	xarray *xa;
	std::uint64_t xa_index; /* the index wanted; advances while walking */
	unsigned xa_shift; /* of a multi-index entry to be stored, else 0 */
	unsigned xa_sibs; /* siblings of that entry */
	unsigned xa_offset; /* in xa_node */
	xa_node *xa_node_; /* current node; see xas_* below */
	xa_node *xa_alloc = nullptr; /* of xas_nomem() and xas_split_alloc(), not in the tree yet */

	xa_state(xarray *array, std::uint64_t index);
	/* For storing an entry of 2^order indices; index is rounded down. */
	xa_state(xarray *array, std::uint64_t index, unsigned order);
};

/* Position. */
void xas_reset(xa_state *xas);
void xas_set(xa_state *xas, std::uint64_t index);
void xas_set_order(xa_state *xas, std::uint64_t index, unsigned order);
/* Before leaving the read section or the lock: goes on behind the current entry. */
void xas_pause(xa_state *xas);
/* Moves to another index of the current node without looking. */
void xas_advance(xa_state *xas, std::uint64_t index);
int xas_error(const xa_state *xas);
void xas_set_err(xa_state *xas, int error);
/* Without the lock: after -ENOMEM allocates a node and, if it got it, says true: try again. */
bool xas_nomem(xa_state *xas);
/* Gives back nodes that were allocated for a split that is not to be made after all. */
void xas_destroy(xa_state *xas);

/* Reading: under RCU or xa_lock. A retry entry is returned as such. */
bool xas_retry(xa_state *xas, const void *entry); /* true: the caller must start again */
void *xas_load(xa_state *xas);
void *xas_reload(xa_state *xas);
void *xas_find(xa_state *xas, std::uint64_t max);
void *xas_next_entry(xa_state *xas, std::uint64_t max);
void *xas_next(xa_state *xas); /* the next index, also if empty; siblings as such */
void *xas_find_marked(xa_state *xas, std::uint64_t max, xa_mark_t mark);
void *xas_find_conflict(xa_state *xas);
bool xas_get_mark(const xa_state *xas, xa_mark_t mark);

/* Writing: xa_lock held. */
void *xas_store(xa_state *xas, void *entry); /* returns the old entry; null erases */
/* All slots of the range get nodes; afterwards the order of the walker is 0, unless it failed. */
void xas_create_range(xa_state *xas);
void xas_set_mark(xa_state *xas, xa_mark_t mark);
void xas_clear_mark(xa_state *xas, xa_mark_t mark);
void xas_init_marks(xa_state *xas);
int xas_get_order(const xa_state *xas); /* of the entry that the walker is at; or RCU */
/* Splits the multi-index entry at xa_index (of `order`) into copies of xas's order: first alloc
 * without the lock (may sleep; -ENOMEM), then split under it. */
void xas_split_alloc(xa_state *xas, void *entry, unsigned order);
void xas_split(xa_state *xas, void *entry, unsigned order);

/* The simple interface; takes xa_lock or RCU itself. xa_store may fail, see xa_err(). */
void *xa_load(xarray *xa, std::uint64_t index);
void *xa_store(xarray *xa, std::uint64_t index, void *entry);
void *xa_erase(xarray *xa, std::uint64_t index);
bool xa_marked(xarray *xa, xa_mark_t mark);
bool xa_get_mark(xarray *xa, std::uint64_t index, xa_mark_t mark);
bool xa_empty(xarray *xa);

/* For reports and tests, no points: entry, order and marks at an index; and a check of all
 * invariants (counts, siblings, marks, shifts) that returns null or what is wrong. */
struct xa_peeked {
	void *entry;
	unsigned order;
	unsigned marks;
};
xa_peeked xa_peek(const xarray *xa, std::uint64_t index);
const char *xa_check(const xarray *xa);

} // namespace kernel
