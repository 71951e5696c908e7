// SPDX-License-Identifier: GPL-2.0-only
// The XArray: a radix tree with multi-index entries and marks (lib/xarray.c of 6.12).
//
// What a slot (and the head) holds:
//   0                    nothing
//   ...00                a pointer of the user
//   ...1                 a value of the user
//   ...10, < 256         sibling: the entry is in the slot with that number of this node
//   ...10, 1026          retry: the node left the tree while you were in it, start again
//   ...10, > 4096        a node
//
// RCU readers see each slot, mark word and parent pointer change on its own, one point each. What
// the holder of xa_lock reads makes no point where only holders write: no step of another task
// could change it. `shift` and `offset` of a node are constant while it can be reached, counts are
// the lock holder's own. Nodes that leave the tree are freed after a grace period.
//
//   reader                                  writer that replaces a node by an entry
//   1. load the slot: a node                a. store the entry into the slot
//   2. load a slot of that node             b. fill the node's slots with "retry"
//   3. "retry": start at the head           c. call_rcu(): freed when 1..3 are over
//
// This file has positions and the simple interface. The rest: xa_node.cc (nodes), xas_walk.cc and
// xas_find.cc (reading), xas_store.cc, xas_marks.cc, xas_split.cc, xarray_check.cc.
//
// Left out: XA_FLAGS_* (IDs, free tracking, zero entries, accounting), xas_prev(), reservations,
// the workingset's list of nodes, allocation between dropping and retaking the lock in xa_store().
// Beyond Linux: xas_split() splits over any number of levels, since our nodes may be tiny.
#include "engine/kernel/xarray.h"

#include <bit>

#include "engine/kernel/machine.h"
#include "engine/kernel/xas.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass xa_lock_class{ "xa_lock" };

} // namespace

xarray::xarray()
	: xa_lock(xa_lock_class),
	  xa_chunk_shift(static_cast<unsigned>(std::countr_zero(this_machine().geo.xa_slots)))
{
	CHECK(std::has_single_bit(this_machine().geo.xa_slots) && xa_chunk_shift >= 1 &&
	      xa_chunk_shift <= 6);
}

xa_state::xa_state(xarray *array, std::uint64_t index) : xa(array), xa_shift(0), xa_sibs(0)
{
	xas_set(this, index);
}

xa_state::xa_state(xarray *array, std::uint64_t index, unsigned order) : xa(array)
{
	xas_set_order(this, index, order);
}

/* ---- position ---- */

void xas_reset(xa_state *xas)
{
	xas->xa_node_ = xas_state(kRestart);
}

/* Keeps the order. */
void xas_set(xa_state *xas, std::uint64_t index)
{
	xas->xa_index = index;
	xas->xa_offset = 0;
	xas_reset(xas);
}

void xas_set_order(xa_state *xas, std::uint64_t index, unsigned order)
{
	const unsigned above = order % chunk_shift(xas);
	xas_set(xas, order < 64 ? index >> order << order : 0);
	xas->xa_shift = order - above;
	xas->xa_sibs = (1u << above) - 1;
}

/*
 * The index becomes that of the next entry, from wherever it is in this one. (6.12 adds the size of
 * the entry to it, so that it skips as much of the next one as it lay inside this one: corrected
 * in 6.14, "Xarray: move forward index correctly in xas_pause()".)
 */
void xas_pause(xa_state *xas)
{
	xa_node *node = xas->xa_node_;

	if (xas_invalid(xas))
		return;
	if (node == nullptr) {
		xas->xa_index++;
		xas_reset(xas);
		return;
	}
	unsigned offset = xas->xa_offset;
	while (++offset < chunk_size(xas)) {
		if (!xa_is_sibling(xa_entry(node, offset)))
			break;
	}
	xas_move_index(xas, offset);
	if (xas->xa_index == 0)
		set_bounds(xas); /* wrapped */
	else
		xas_reset(xas);
}

void xas_advance(xa_state *xas, std::uint64_t index)
{
	const unsigned shift = xas_is_node(xas) ? shift_of(xas->xa_node_) : 0;
	xas->xa_index = index;
	xas->xa_offset = static_cast<unsigned>(index >> shift & chunk_mask(xas));
}

int xas_error(const xa_state *xas)
{
	return xa_err(xas->xa_node_);
}

void xas_set_err(xa_state *xas, int error)
{
	xas->xa_node_ = xas_error_state(error);
}

/* ---- the simple interface ---- */

void *xa_load(xarray *xa, std::uint64_t index)
{
	FRAME(xa_load);
	xa_state xas(xa, index);
	void *entry = nullptr;

	rcu_read_lock();
	do {
		entry = xas_load(&xas);
	} while (xas_retry(&xas, entry));
	rcu_read_unlock();
	return entry;
}

/* May sleep. Returns the old entry, or an error entry. */
void *xa_store(xarray *xa, std::uint64_t index, void *entry)
{
	FRAME(xa_store);
	xa_state xas(xa, index);
	void *old = nullptr;

	do {
		xa->xa_lock.lock();
		old = xas_store(&xas, entry);
		xa->xa_lock.unlock();
	} while (xas_nomem(&xas));
	return xas_error(&xas) != 0 ? static_cast<void *>(xas.xa_node_) : old;
}

void *xa_erase(xarray *xa, std::uint64_t index)
{
	FRAME(xa_erase);
	xa_state xas(xa, index);

	xa->xa_lock.lock();
	void *old = xas_store(&xas, nullptr);
	xa->xa_lock.unlock();
	return old;
}

bool xa_marked(xarray *xa, xa_mark_t mark)
{
	return (xa->xa_marks.load() & bit(mark)) != 0;
}

bool xa_get_mark(xarray *xa, std::uint64_t index, xa_mark_t mark)
{
	FRAME(xa_get_mark);
	xa_state xas(xa, index);
	bool found = false;

	rcu_read_lock();
	void *entry = xas_start(&xas);
	while (xas_get_mark(&xas, mark)) {
		if (!xa_is_node(entry)) {
			found = true;
			break;
		}
		entry = xas_descend<false>(&xas, xa_to_node(entry));
	}
	rcu_read_unlock();
	return found;
}

bool xa_empty(xarray *xa)
{
	return xa->xa_head.load() == nullptr;
}

} // namespace kernel
