// SPDX-License-Identifier: GPL-2.0-only
// Reading the XArray: from the head to an entry, and from one entry to the next (lib/xarray.c of
// 6.12). Under RCU or xa_lock; what a reader meets while a writer is at work is told in xarray.cc.
#include "engine/kernel/xas.h"
#include "scheduler/frame.h"

namespace kernel
{

/* The head, or what the walker is at; null where the tree has no such index. */
void *xas_start(xa_state *xas)
{
	if (!xas_invalid(xas))
		return xas_reload(xas);
	if (xas_error(xas) != 0)
		return nullptr;

	void *entry = READ_ONCE(xas->xa->xa_head);
	if (!xa_is_node(entry)) {
		if (xas->xa_index != 0)
			return set_bounds(xas);
	} else if (xas->xa_index >> shift_of(xa_to_node(entry)) > chunk_mask(xas)) {
		return set_bounds(xas);
	}
	xas->xa_node_ = nullptr;
	return entry;
}

namespace
{

void *__xas_next(xa_state *xas)
{
	if (!xas_frozen(xas))
		xas->xa_index++;
	if (xas->xa_node_ == nullptr)
		return set_bounds(xas);
	if (!xas_is_node(xas))
		return xas_load(xas);

	if (xas->xa_offset != get_offset(xas, xas->xa_node_))
		xas->xa_offset++;
	while (xas->xa_offset == chunk_size(xas)) {
		xas->xa_offset = xas->xa_node_->offset + 1u;
		xas->xa_node_ = xa_parent(xas->xa_node_);
		if (xas->xa_node_ == nullptr)
			return set_bounds(xas);
	}
	for (;;) {
		void *entry = xa_entry(xas->xa_node_, xas->xa_offset);
		if (!xa_is_node(entry))
			return entry;
		xas->xa_node_ = xa_to_node(entry);
		xas_set_offset(xas);
	}
}

} // namespace

bool xas_retry(xa_state *xas, const void *entry)
{
	if (bits_of(entry) != kRetryBits)
		return false;
	xas_reset(xas);
	return true;
}

/*
 * The entry at the index. The walker is then at it, or at the empty slot where it would be, or out
 * of bounds. With an order set it stops above nodes that are smaller than that.
 */
void *xas_load(xa_state *xas)
{
	FRAME(xas_load);
	void *entry = xas_start(xas);

	while (xa_is_node(entry)) {
		xa_node *node = xa_to_node(entry);
		if (xas->xa_shift > node->shift)
			break;
		entry = xas_descend<false>(xas, node);
		if (node->shift == 0)
			break;
	}
	return entry;
}

/* The slot again, as it is now: has the entry been replaced? */
void *xas_reload(xa_state *xas)
{
	xa_node *node = xas->xa_node_;

	if (node == nullptr)
		return READ_ONCE(xas->xa->xa_head);
	if (xas_invalid(xas))
		return nullptr;
	void *entry = xa_entry(node, get_offset(xas, node));
	if (!xa_is_sibling(entry))
		return entry;
	return xa_entry(node, xa_to_sibling(entry));
}

/*
 * The first time the entry at or after the index, later on the next one; at most `max`. Null at
 * the end. The index becomes that of the entry found; on the first call it may lie within it.
 */
void *xas_find(xa_state *xas, std::uint64_t max)
{
	FRAME(xas_find);
	if (xas_error(xas) != 0 || is_bounds(xas->xa_node_))
		return nullptr;
	if (xas->xa_index > max)
		return set_bounds(xas);

	if (xas->xa_node_ == nullptr) {
		xas->xa_index = 1;
		return set_bounds(xas);
	}
	if (is_restart(xas->xa_node_)) {
		void *entry = xas_load(xas);
		if (entry != nullptr || !xas_is_node(xas))
			return entry;
	} else if (xas->xa_node_->shift == 0 &&
		   xas->xa_offset != (xas->xa_index & chunk_mask(xas))) {
		/* The index lies behind the start of a multi-index entry, or was moved. */
		xas->xa_offset = static_cast<unsigned>(((xas->xa_index - 1) & chunk_mask(xas)) + 1);
	}
	xas_next_offset(xas);

	while (xas->xa_node_ != nullptr && xas->xa_index <= max) {
		if (xas->xa_offset == chunk_size(xas)) [[unlikely]] {
			xas->xa_offset = xas->xa_node_->offset + 1u;
			xas->xa_node_ = xa_parent(xas->xa_node_);
			continue;
		}
		void *entry = xa_entry(xas->xa_node_, xas->xa_offset);
		if (xa_is_node(entry)) {
			xas->xa_node_ = xa_to_node(entry);
			xas->xa_offset = 0;
			continue;
		}
		if (entry != nullptr && !xa_is_sibling(entry))
			return entry;
		xas_next_offset(xas);
	}
	if (xas->xa_node_ == nullptr)
		set_bounds(xas);
	return nullptr;
}

/* xas_find(), with a short way through a leaf of single entries. */
void *xas_next_entry(xa_state *xas, std::uint64_t max)
{
	xa_node *node = xas->xa_node_;

	if (!xas_is_node(xas) || node->shift != 0 ||
	    xas->xa_offset != (xas->xa_index & chunk_mask(xas))) [[unlikely]]
		return xas_find(xas, max);

	void *entry = nullptr;
	do {
		if (xas->xa_index >= max || xas->xa_offset == chunk_mask(xas)) [[unlikely]]
			return xas_find(xas, max);
		entry = xa_entry(node, xas->xa_offset + 1);
		if (xa_is_internal(entry)) [[unlikely]]
			return xas_find(xas, max);
		xas->xa_offset++;
		xas->xa_index++;
	} while (entry == nullptr);
	return entry;
}

void *xas_next(xa_state *xas)
{
	xa_node *node = xas->xa_node_;

	if (!xas_is_node(xas) || node->shift != 0 || xas->xa_offset == chunk_mask(xas)) [[unlikely]]
		return __xas_next(xas);
	xas->xa_index++;
	xas->xa_offset++;
	return xa_entry(node, xas->xa_offset);
}

/* RCU is enough; the answer may be old. */
int xas_get_order(const xa_state *xas)
{
	if (!xas_is_node(xas))
		return 0;
	unsigned order = 0;
	for (;;) {
		const unsigned offset = xas->xa_offset + (1u << order);
		if (offset >= chunk_size(xas))
			break;
		if (!xa_is_sibling(xa_entry(xas->xa_node_, offset)))
			break;
		order++;
	}
	return static_cast<int>(order + shift_of(xas->xa_node_));
}

} // namespace kernel
