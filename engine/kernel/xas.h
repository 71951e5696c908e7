// SPDX-License-Identifier: GPL-2.0-only
// Inside the XArray, for its own files: internal entries, the states of a walker, geometry, loads,
// the marks of one node. xarray.cc says what entries mean and who may read what.
#pragma once

#include <bit>

#include "engine/kernel/xa_node.h"

namespace kernel
{

/* ---- entries ---- */

inline void *xa_mk_internal(std::uintptr_t value)
{
	return reinterpret_cast<void *>(value << 2 | 2);
}

inline void *xa_mk_sibling(unsigned offset)
{
	return xa_mk_internal(offset);
}

inline void *xa_retry_entry()
{
	return reinterpret_cast<void *>(kRetryBits);
}

inline void *xa_mk_node(const xa_node *node)
{
	return reinterpret_cast<void *>(bits_of(node) | 2);
}

/* ---- states of a walker, in place of its node ---- */

inline xa_node *xas_state(std::intptr_t value)
{
	return reinterpret_cast<xa_node *>(value);
}

inline constexpr std::intptr_t kBounds = 1;
inline constexpr std::intptr_t kRestart = 3;

inline xa_node *xas_error_state(int error)
{
	return xas_state(static_cast<std::intptr_t>(error) * 4 | 2);
}

inline bool is_bounds(const xa_node *node)
{
	return bits_of(node) == kBounds;
}

inline bool is_restart(const xa_node *node)
{
	return bits_of(node) == kRestart;
}

/* Bounds, restart or an error; the walker is nowhere. */
inline bool xas_invalid(const xa_state *xas)
{
	return (bits_of(xas->xa_node_) & 3) != 0;
}

inline bool xas_is_node(const xa_state *xas)
{
	return !xas_invalid(xas) && xas->xa_node_ != nullptr;
}

/* Restart or an error: the index was not looked at yet. */
inline bool xas_frozen(const xa_state *xas)
{
	return (bits_of(xas->xa_node_) & 2) != 0;
}

/* At the root entry, bounds or restart. */
inline bool xas_top(const xa_state *xas)
{
	return bits_of(xas->xa_node_) <= kRestart;
}

inline void *set_bounds(xa_state *xas)
{
	xas->xa_node_ = xas_state(kBounds);
	return nullptr;
}

/* ---- geometry ---- */

inline unsigned chunk_shift(const xa_state *xas)
{
	return xas->xa->xa_chunk_shift;
}

inline unsigned chunk_size(const xa_state *xas)
{
	return 1u << xas->xa->xa_chunk_shift;
}

inline std::uint64_t chunk_mask(const xa_state *xas)
{
	return chunk_size(xas) - 1;
}

/* Masked, so that a walker in a freed node gets to the access that reports it. */
inline unsigned shift_of(const xa_node *node)
{
	return node->shift & 63u;
}

inline unsigned get_offset(const xa_state *xas, const xa_node *node)
{
	return static_cast<unsigned>(xas->xa_index >> shift_of(node) & chunk_mask(xas));
}

/* The highest index below this head. */
inline std::uint64_t max_index(const xarray *xa, const void *head)
{
	if (!xa_is_node(head))
		return 0;
	return (std::uint64_t{ 1 } << xa->xa_chunk_shift << shift_of(xa_to_node(head))) - 1;
}

/* The last index that a store would need room for; a multi-index entry needs a node around it. */
inline std::uint64_t xas_max(const xa_state *xas)
{
	std::uint64_t max = xas->xa_index;
	if (xas->xa_shift != 0 || xas->xa_sibs != 0) {
		const std::uint64_t mask =
			((xas->xa_sibs + std::uint64_t{ 1 }) << xas->xa_shift) - 1;
		max |= mask;
		if (mask == max)
			max++;
	}
	return max;
}

inline void xas_set_offset(xa_state *xas)
{
	xas->xa_offset = get_offset(xas, xas->xa_node_);
}

inline void xas_move_index(xa_state *xas, std::uint64_t offset)
{
	const unsigned shift = shift_of(xas->xa_node_);
	xas->xa_index &= ~chunk_mask(xas) << shift;
	xas->xa_index += offset << shift;
}

inline void xas_next_offset(xa_state *xas)
{
	xas->xa_offset++;
	xas_move_index(xas, xas->xa_offset);
}

/* ---- loads: with a point for who may hold no lock, without for the holder ---- */

inline void *xa_entry(xa_node *node, unsigned offset)
{
	return READ_ONCE(node->slot(offset));
}

inline void *xa_entry_locked(xa_node *node, unsigned offset)
{
	return node->slot(offset).peek();
}

inline xa_node *xa_parent(const xa_node *node)
{
	return READ_ONCE(node->parent);
}

inline xa_node *xa_parent_locked(const xa_node *node)
{
	return node->parent.peek();
}

/* ---- marks of a node; xa_lock held except for the last two ---- */

inline constexpr xa_mark_t kMarks[] = { XA_MARK_0, XA_MARK_1, XA_MARK_2 };

constexpr std::uint64_t bit(unsigned offset)
{
	return std::uint64_t{ 1 } << offset;
}

/* Returns the old value. */
inline bool node_set_mark(xa_node *node, unsigned offset, xa_mark_t mark)
{
	const std::uint64_t word = node->marks[mark].peek();
	if ((word & bit(offset)) != 0)
		return true;
	node->marks[mark].store(word | bit(offset));
	return false;
}

inline bool node_clear_mark(xa_node *node, unsigned offset, xa_mark_t mark)
{
	const std::uint64_t word = node->marks[mark].peek();
	if ((word & bit(offset)) == 0)
		return false;
	node->marks[mark].store(word & ~bit(offset));
	return true;
}

inline bool node_any_mark(const xa_node *node, xa_mark_t mark)
{
	return node->marks[mark].peek() != 0;
}

/* Bit m: the slot has mark m. */
inline unsigned node_get_marks(const xa_node *node, unsigned offset)
{
	unsigned marks = 0;
	for (xa_mark_t mark : kMarks)
		marks |= static_cast<unsigned>(node->marks[mark].peek() >> offset & 1) << mark;
	return marks;
}

inline bool node_get_mark(const xa_node *node, unsigned offset, xa_mark_t mark)
{
	return (READ_ONCE(node->marks[mark]) & bit(offset)) != 0;
}

/* The next slot with the mark, from the walker's on, or behind it if `advance`. */
inline unsigned xas_find_chunk(const xa_state *xas, bool advance, xa_mark_t mark)
{
	const unsigned offset = xas->xa_offset + (advance ? 1 : 0);
	if (offset >= chunk_size(xas))
		return chunk_size(xas);
	const std::uint64_t word = xas->xa_node_->marks[mark].load() & ~std::uint64_t{ 0 }
									       << offset;
	if (word == 0)
		return chunk_size(xas);
	return static_cast<unsigned>(std::countr_zero(word));
}

/* ---- walking ---- */

/* The head, or what the walker is at; null where the tree has no such index. */
void *xas_start(xa_state *xas);

/*
 * One level down. A slot that turned from an entry into a node while its siblings were read must
 * be looked at again: the walker would land in the wrong part of the range.
 */
template <bool locked>
void *xas_descend(xa_state *xas, xa_node *node)
{
	unsigned offset = get_offset(xas, node);
	void *entry = locked ? xa_entry_locked(node, offset) : xa_entry(node, offset);

	xas->xa_node_ = node;
	while (xa_is_sibling(entry)) {
		offset = xa_to_sibling(entry);
		entry = locked ? xa_entry_locked(node, offset) : xa_entry(node, offset);
		if (node->shift != 0 && xa_is_node(entry))
			entry = xa_retry_entry();
	}
	xas->xa_offset = offset;
	return entry;
}

/* ---- nodes (xa_node.cc); xa_lock held but for the last two ---- */

/* A node for the walker's slot, empty, not linked yet. Null: the walker is in an error state. */
xa_node *xas_alloc(xa_state *xas, unsigned shift);
/* Nothing in the tree points to it, but there may be walkers in it: freed after a grace period. */
void xa_node_free(xa_node *node);
/* Not in the tree. */
xa_node *new_node(const xarray *xa);
/* Of a node that never was in the tree, with all below it. */
void free_unused(const xarray *xa, xa_node *node);

} // namespace kernel
