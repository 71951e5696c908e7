// SPDX-License-Identifier: GPL-2.0-only
// Splitting a multi-index entry of the XArray (lib/xarray.c of 6.12). Beyond Linux: over any number
// of levels, since our nodes may be tiny.
#include "engine/kernel/errno.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/xas.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* A full subtree of copies of `entry` in the walker's order; null if memory runs out. */
xa_node *alloc_copies(const xa_state *xas, void *entry, unsigned shift)
{
	if (should_fail("xa_node"))
		return nullptr;
	xa_node *node = new_node(xas->xa);
	node->shift = static_cast<std::uint8_t>(shift);
	for (unsigned i = 0; i < chunk_size(xas); i++) {
		void *content = entry;
		if (shift > xas->xa_shift) {
			xa_node *child = alloc_copies(xas, entry, shift - chunk_shift(xas));
			if (child == nullptr) {
				free_unused(xas->xa, node);
				return nullptr;
			}
			child->offset = static_cast<std::uint8_t>(i);
			child->parent.poke(node);
			content = xa_mk_node(child);
		} else {
			if ((i & xas->xa_sibs) != 0)
				content = xa_mk_sibling(i & ~xas->xa_sibs);
			node->nr_values =
				static_cast<std::uint8_t>(node->nr_values + xa_is_value(entry));
		}
		node->slot(i).poke(content);
		node->count++;
	}
	return node;
}

/* Marks all entries of a subtree that nobody can see yet. */
void mark_copies(const xa_state *xas, xa_node *node, unsigned marks)
{
	std::uint64_t slots = 0;
	for (unsigned i = 0; i < chunk_size(xas); i++) {
		void *entry = xa_entry_locked(node, i);
		if (!xa_is_sibling(entry))
			slots |= bit(i);
		if (xa_is_node(entry))
			mark_copies(xas, xa_to_node(entry), marks);
	}
	for (xa_mark_t mark : kMarks)
		node->marks[mark].poke((marks & bit(mark)) != 0 ? slots : 0);
}

void node_set_marks(xa_node *node, unsigned offset, unsigned marks)
{
	for (xa_mark_t mark : kMarks) {
		if ((marks & bit(mark)) != 0)
			node_set_mark(node, offset, mark);
	}
}

} // namespace

/* May sleep. Fails with -ENOMEM. */
void xas_split_alloc(xa_state *xas, void *entry, unsigned order)
{
	FRAME(xas_split_alloc);
	const unsigned above = order % chunk_shift(xas);
	const unsigned shift = order - above;

	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->might_sleep(std::source_location::current());
	if (xas->xa_shift >= shift)
		return; /* it stays in its node */
	for (unsigned slots = 1u << above; slots > 0; slots--) {
		xa_node *node = alloc_copies(xas, entry, shift - chunk_shift(xas));
		if (node == nullptr) {
			xas_destroy(xas);
			xas_set_err(xas, -ENOMEM);
			return;
		}
		node->parent.poke(xas->xa_alloc);
		xas->xa_alloc = node;
	}
}

/*
 * Slots change from the last one to the first, siblings before the slot that they point to: a
 * reader whom xas_descend() sends back, since the slot is a node by now, finds no sibling again.
 */
void xas_split(xa_state *xas, void *entry, unsigned order)
{
	FRAME(xas_split);
	void *old = xas_load(xas);
	xa_node *node = xas->xa_node_;
	int values = 0;

	if (xas_top(xas))
		return;
	const unsigned marks = node_get_marks(node, xas->xa_offset);
	const unsigned slots = 1u << order % chunk_shift(xas);
	const bool deeper = xas->xa_shift < node->shift;
	const unsigned step = deeper ? 1 : xas->xa_sibs + 1;

	for (unsigned end = xas->xa_offset + slots; end > xas->xa_offset; end -= step) {
		const unsigned offset = end - step;
		if (deeper) {
			xa_node *child = xas->xa_alloc;
			CHECK(child != nullptr);
			xas->xa_alloc = child->parent.peek();
			child->offset = static_cast<std::uint8_t>(offset);
			child->parent.poke(node);
			mark_copies(xas, child, marks);
			node_set_marks(node, offset, marks);
			node->slot(offset).store_release(xa_mk_node(child));
			if (xa_is_value(old))
				values--;
			continue;
		}
		node_set_marks(node, offset, marks);
		node->slot(offset).store_release(entry);
		for (unsigned i = end - 1; i > offset; i--)
			node->slot(i).store_release(xa_mk_sibling(offset));
		values += (xa_is_value(entry) - xa_is_value(old)) * static_cast<int>(step);
	}
	node->nr_values = static_cast<std::uint8_t>(node->nr_values + values);
}

} // namespace kernel
