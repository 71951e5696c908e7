// SPDX-License-Identifier: GPL-2.0-only
// Marks of entries in the XArray, up to the root (lib/xarray.c of 6.12). They change with xa_lock
// held; xas_get_mark() does with RCU.
#include "engine/kernel/xas.h"
#include "scheduler/frame.h"

namespace kernel
{

/* Of the entry the walker is at. */
bool xas_get_mark(const xa_state *xas, xa_mark_t mark)
{
	if (xas_invalid(xas))
		return false;
	if (xas->xa_node_ == nullptr)
		return xa_marked(xas->xa, mark);
	return node_get_mark(xas->xa_node_, xas->xa_offset, mark);
}

/* Of the entry that the walker is at, up to the root. */
void xas_set_mark(xa_state *xas, xa_mark_t mark)
{
	FRAME(xas_set_mark);
	xa_node *node = xas->xa_node_;
	unsigned offset = xas->xa_offset;

	if (xas_invalid(xas))
		return;
	while (node != nullptr) {
		if (node_set_mark(node, offset, mark))
			return;
		offset = node->offset;
		node = xa_parent_locked(node);
	}
	const std::uint32_t marks = xas->xa->xa_marks.peek();
	if ((marks & bit(mark)) == 0)
		xas->xa->xa_marks.store(marks | 1u << mark);
}

/* Of the entry that the walker is at, and upwards while nothing else has it. */
void xas_clear_mark(xa_state *xas, xa_mark_t mark)
{
	FRAME(xas_clear_mark);
	xa_node *node = xas->xa_node_;
	unsigned offset = xas->xa_offset;

	if (xas_invalid(xas))
		return;
	while (node != nullptr) {
		if (!node_clear_mark(node, offset, mark))
			return;
		if (node_any_mark(node, mark))
			return;
		offset = node->offset;
		node = xa_parent_locked(node);
	}
	const std::uint32_t marks = xas->xa->xa_marks.peek();
	if ((marks & bit(mark)) != 0)
		xas->xa->xa_marks.store(marks & ~(1u << mark));
}

void xas_init_marks(xa_state *xas)
{
	for (xa_mark_t mark : kMarks)
		xas_clear_mark(xas, mark);
}

} // namespace kernel
