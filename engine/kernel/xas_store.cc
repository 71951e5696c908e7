// SPDX-License-Identifier: GPL-2.0-only
// Storing and erasing in the XArray, and its growing and shrinking (lib/xarray.c of 6.12). All with
// xa_lock held.
#include "engine/kernel/bug.h"
#include "engine/kernel/errno.h"
#include "engine/kernel/xas.h"
#include "scheduler/frame.h"

namespace kernel
{

using interleaf::Shared;

namespace
{

/* Nodes on top until the walker's range fits. Returns the shift above the head, or -ENOMEM. */
int xas_expand(xa_state *xas, void *head)
{
	xarray *xa = xas->xa;
	xa_node *node = nullptr;
	unsigned shift = 0;
	const std::uint64_t max = xas_max(xas);

	if (head == nullptr) {
		if (max == 0)
			return 0;
		while (max >> shift >= chunk_size(xas))
			shift += chunk_shift(xas);
		return static_cast<int>(shift + chunk_shift(xas));
	}
	if (xa_is_node(head)) {
		node = xa_to_node(head);
		shift = node->shift + chunk_shift(xas);
	}
	xas->xa_node_ = nullptr;

	while (max > max_index(xa, head)) {
		BUG_ON(shift > 63);
		node = xas_alloc(xas, shift);
		if (node == nullptr)
			return -ENOMEM;

		node->count = 1;
		if (xa_is_value(head))
			node->nr_values = 1;
		node->slot(0).poke(head);
		for (xa_mark_t mark : kMarks) {
			if ((xa->xa_marks.peek() & bit(mark)) != 0)
				node->marks[mark].poke(bit(0));
		}
		/* Complete; from here on readers may find it, from below or from above. */
		if (xa_is_node(head)) {
			xa_to_node(head)->offset = 0;
			xa_to_node(head)->parent.store_release(node);
		}
		head = xa_mk_node(node);
		xa->xa_head.store_release(head);
		shift += chunk_shift(xas);
	}
	xas->xa_node_ = node;
	return static_cast<int>(shift);
}

/*
 * The nodes down to where an entry of the walker's order goes, or to the entry that is in its way.
 * Returns what is there now.
 */
void *xas_create(xa_state *xas)
{
	xarray *xa = xas->xa;
	xa_node *node = xas->xa_node_;
	const int order = static_cast<int>(xas->xa_shift);
	Shared<void *> *slot = &xa->xa_head;
	void *entry = nullptr;
	int shift = 0;

	if (xas_top(xas)) {
		entry = xa->xa_head.peek();
		xas->xa_node_ = nullptr;
		shift = xas_expand(xas, entry);
		if (shift < 0)
			return nullptr;
		entry = xa->xa_head.peek();
	} else if (xas_error(xas) != 0) {
		return nullptr;
	} else {
		shift = node->shift;
		slot = &node->slot(xas->xa_offset);
		entry = slot->peek();
	}

	while (shift > order) {
		shift -= static_cast<int>(chunk_shift(xas));
		if (entry == nullptr) {
			node = xas_alloc(xas, static_cast<unsigned>(shift));
			if (node == nullptr)
				break;
			slot->store_release(xa_mk_node(node));
		} else if (xa_is_node(entry)) {
			node = xa_to_node(entry);
		} else {
			break;
		}
		entry = xas_descend<true>(xas, node);
		slot = &node->slot(xas->xa_offset);
	}
	return entry;
}

/* Takes off nodes at the top whose only slot in use is the first one. */
void xas_shrink(xa_state *xas)
{
	xarray *xa = xas->xa;
	xa_node *node = xas->xa_node_;

	for (;;) {
		BUG_ON(node->count > chunk_size(xas));
		if (node->count != 1)
			break;
		void *entry = xa_entry_locked(node, 0);
		if (entry == nullptr)
			break;
		if (!xa_is_node(entry) && node->shift != 0)
			break;
		xas->xa_node_ = xas_state(kBounds);

		xa->xa_head.write_once(entry);
		node->count = 0;
		node->nr_values = 0;
		/* Who is in the old top finds the node below it all the same, but not an entry. */
		if (!xa_is_node(entry)) {
			node->slot(0).write_once(xa_retry_entry());
			xa_node_free(node);
			break;
		}
		xa_node *child = xa_to_node(entry);
		child->parent.write_once(nullptr);
		xa_node_free(node);
		node = child;
	}
}

/* Takes out the walker's node if it is empty, and whatever gets empty by that. */
void xas_delete_node(xa_state *xas)
{
	xa_node *node = xas->xa_node_;

	while (node->count == 0) {
		xa_node *parent = xa_parent_locked(node);
		xas->xa_node_ = parent;
		xas->xa_offset = node->offset;
		if (parent == nullptr) {
			xas->xa->xa_head.write_once(nullptr);
			xa_node_free(node);
			xas->xa_node_ = xas_state(kBounds);
			return;
		}
		parent->slot(xas->xa_offset).write_once(nullptr);
		xa_node_free(node);
		parent->count--;
		node = parent;
	}
	if (xa_parent_locked(node) == nullptr)
		xas_shrink(xas);
}

/* Frees a subtree that was just cut off. Walkers in it are told to start again. */
void xas_free_nodes(xa_state *xas, xa_node *top)
{
	xa_node *node = top;
	unsigned offset = 0;

	for (;;) {
		void *entry = xa_entry_locked(node, offset);
		if (node->shift != 0 && xa_is_node(entry)) {
			node = xa_to_node(entry);
			offset = 0;
			continue;
		}
		if (entry != nullptr)
			node->slot(offset).write_once(xa_retry_entry());
		offset++;
		while (offset == chunk_size(xas)) {
			xa_node *parent = xa_parent_locked(node);
			offset = node->offset + 1u;
			node->count = 0;
			node->nr_values = 0;
			xa_node_free(node);
			if (node == top)
				return;
			node = parent;
		}
	}
}

/* The marks of the slots that become siblings go to the first slot. */
void xas_squash_marks(const xa_state *xas)
{
	xa_node *node = xas->xa_node_;
	const std::uint64_t siblings = ((bit(xas->xa_sibs) << 1) - 2) << xas->xa_offset;

	for (xa_mark_t mark : kMarks) {
		if ((node->marks[mark].peek() & siblings) == 0)
			continue;
		node_set_mark(node, xas->xa_offset, mark);
		node->marks[mark].store(node->marks[mark].peek() & ~siblings);
	}
}

void update_node(xa_state *xas, xa_node *node, int count, int values)
{
	if (node == nullptr || (count == 0 && values == 0))
		return;
	node->count = static_cast<std::uint8_t>(node->count + count);
	node->nr_values = static_cast<std::uint8_t>(node->nr_values + values);
	if (count < 0)
		xas_delete_node(xas);
}

} // namespace

/*
 * Puts the entry into all slots of the walker's range, or, if a larger entry is there, into that
 * one's; null erases whatever entry is at the index, with its marks. Other marks stay. Returns the
 * old entry (of several, the last one). May fail with -ENOMEM, see xas_error(); erasing works.
 */
void *xas_store(xa_state *xas, void *entry)
{
	FRAME(xas_store);
	const bool value = xa_is_value(entry);
	void *first = entry != nullptr ? xas_create(xas) : xas_load(xas);

	if (xas_invalid(xas))
		return first;
	xa_node *node = xas->xa_node_;
	if (node != nullptr && xas->xa_shift < node->shift)
		xas->xa_sibs = 0;
	if (first == entry && xas->xa_sibs == 0)
		return first;

	void *next = first;
	unsigned offset = xas->xa_offset;
	const unsigned max = offset + xas->xa_sibs;
	Shared<void *> *slot = &xas->xa->xa_head;
	int count = 0;
	int values = 0;
	if (node != nullptr) {
		slot = &node->slot(offset);
		if (xas->xa_sibs != 0)
			xas_squash_marks(xas);
	}
	/* Before the slot: who sees the mark must find an entry. Pairs with xas_find_marked(). */
	if (entry == nullptr)
		xas_init_marks(xas);

	for (;;) {
		slot->store_release(entry);
		if (xa_is_node(next) && (node == nullptr || node->shift != 0))
			xas_free_nodes(xas, xa_to_node(next));
		if (node == nullptr)
			break;
		count += (next == nullptr) - (entry == nullptr);
		values += !xa_is_value(first) - !value;
		if (entry != nullptr) {
			if (offset == max)
				break;
			if (!xa_is_sibling(entry))
				entry = xa_mk_sibling(xas->xa_offset);
		} else if (offset == chunk_mask(xas)) {
			break;
		}
		next = xa_entry_locked(node, ++offset);
		if (!xa_is_sibling(next)) {
			if (entry == nullptr && offset > max)
				break;
			first = next;
		}
		slot = &node->slot(offset);
	}
	update_node(xas, node, count, values);
	return first;
}

/*
 * So that a store of any order in the range needs no memory. Where an entry covers more than a
 * leaf's worth of it, nothing is to be done. Linux finds the next leaf from the one before; from
 * the top it is the same with entries on every level.
 */
void xas_create_range(xa_state *xas)
{
	FRAME(xas_create_range);
	const std::uint64_t index = xas->xa_index;
	const unsigned shift = xas->xa_shift;
	const unsigned sibs = xas->xa_sibs;

	if (xas_error(xas) != 0)
		return;
	xas->xa_index |= ((sibs + std::uint64_t{ 1 }) << shift) - 1;
	xas->xa_shift = 0;
	xas->xa_sibs = 0;

	/* From the last leaf of the range to the first one. */
	for (;;) {
		xas_reset(xas);
		xas_create(xas);
		if (xas_error(xas) != 0) {
			xas->xa_shift = shift;
			xas->xa_sibs = sibs;
			xas->xa_index = index;
			return;
		}
		if (xas->xa_index <= (index | chunk_mask(xas)))
			break;
		xas->xa_index -= chunk_size(xas);
	}
	xas->xa_index = index;
	if (xas->xa_node_ != nullptr)
		xas_set_offset(xas);
}

} // namespace kernel
