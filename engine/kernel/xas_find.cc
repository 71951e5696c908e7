// SPDX-License-Identifier: GPL-2.0-only
// Looking for entries in the XArray: those with a mark, and those in the way of a store
// (lib/xarray.c of 6.12).
#include "engine/kernel/xas.h"
#include "scheduler/frame.h"

namespace kernel
{

/*
 * As xas_find(), for entries with the mark. A writer clears the mark before it erases the entry,
 * so an empty slot whose mark was seen set means: look at the mark again.
 */
void *xas_find_marked(xa_state *xas, std::uint64_t max, xa_mark_t mark)
{
	FRAME(xas_find_marked);
	bool advance = true;

	auto past_max = [&]() -> void * {
		xas_reset(xas);
		return nullptr;
	};
	auto out = [&]() -> void * { return xas->xa_index > max ? past_max() : set_bounds(xas); };

	if (xas_error(xas) != 0)
		return nullptr;
	if (xas->xa_index > max)
		return past_max();

	if (xas->xa_node_ == nullptr) {
		xas->xa_index = 1;
		return out();
	}
	if (xas_top(xas)) {
		advance = false;
		void *entry = READ_ONCE(xas->xa->xa_head);
		xas->xa_node_ = nullptr;
		if (xas->xa_index > max_index(xas->xa, entry))
			return out();
		if (!xa_is_node(entry)) {
			if (xa_marked(xas->xa, mark))
				return entry;
			xas->xa_index = 1;
			return out();
		}
		xas->xa_node_ = xa_to_node(entry);
		xas_set_offset(xas);
	}

	while (xas->xa_index <= max) {
		if (xas->xa_offset == chunk_size(xas)) [[unlikely]] {
			xas->xa_offset = xas->xa_node_->offset + 1u;
			xas->xa_node_ = xa_parent(xas->xa_node_);
			if (xas->xa_node_ == nullptr)
				break;
			advance = false;
			continue;
		}
		if (!advance) {
			void *first = xa_entry(xas->xa_node_, xas->xa_offset);
			if (xa_is_sibling(first)) {
				xas->xa_offset = xa_to_sibling(first);
				xas_move_index(xas, xas->xa_offset);
			}
		}
		const unsigned offset = xas_find_chunk(xas, advance, mark);
		if (offset > xas->xa_offset) {
			advance = false;
			xas_move_index(xas, offset);
			if (xas->xa_index - 1 >= max) /* also if it wrapped */
				return past_max();
			xas->xa_offset = offset;
			if (offset == chunk_size(xas))
				continue;
		}
		void *entry = xa_entry(xas->xa_node_, xas->xa_offset);
		if (entry == nullptr || xa_is_sibling(entry))
			continue;
		if (!xa_is_node(entry))
			return entry;
		xas->xa_node_ = xa_to_node(entry);
		xas_set_offset(xas);
	}
	return out();
}

/*
 * The next entry in the range that a store with this walker would overwrite; xa_lock held. After
 * null the walker is where that store begins.
 */
void *xas_find_conflict(xa_state *xas)
{
	FRAME(xas_find_conflict);
	if (xas_error(xas) != 0 || xas->xa_node_ == nullptr)
		return nullptr;

	if (xas_top(xas)) {
		void *entry = xas_start(xas);
		if (entry == nullptr)
			return nullptr;
		while (xa_is_node(entry))
			entry = xas_descend<true>(xas, xa_to_node(entry));
		if (entry != nullptr)
			return entry;
	}
	if (xas->xa_node_->shift > xas->xa_shift)
		return nullptr;

	for (;;) {
		if (xas->xa_node_->shift == xas->xa_shift) {
			if ((xas->xa_offset & xas->xa_sibs) == xas->xa_sibs)
				break;
		} else if (xas->xa_offset == chunk_mask(xas)) {
			xas->xa_offset = xas->xa_node_->offset;
			xas->xa_node_ = xa_parent_locked(xas->xa_node_);
			if (xas->xa_node_ == nullptr)
				break;
			continue;
		}
		void *entry = xa_entry_locked(xas->xa_node_, ++xas->xa_offset);
		if (xa_is_sibling(entry))
			continue;
		while (xa_is_node(entry)) {
			xas->xa_node_ = xa_to_node(entry);
			xas->xa_offset = 0;
			entry = xa_entry_locked(xas->xa_node_, 0);
		}
		if (entry != nullptr)
			return entry;
	}
	xas->xa_offset -= xas->xa_sibs;
	return nullptr;
}

} // namespace kernel
