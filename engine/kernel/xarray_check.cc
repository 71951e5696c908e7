// SPDX-License-Identifier: GPL-2.0-only
// For reports and tests: what the XArray has at an index, and whether its invariants hold. No points.
#include "engine/kernel/xas.h"

namespace kernel
{

namespace
{

/* How many slots from `offset` on belong to the entry there. */
unsigned slots_of_entry(xa_node *node, unsigned offset, unsigned slots)
{
	unsigned count = 1;
	while (offset + count < slots &&
	       xa_entry_locked(node, offset + count) == xa_mk_sibling(offset))
		count++;
	return count;
}

/* What is wrong with an entry that is not a node, and the slots it covers; or null. */
const char *check_entry(xa_node *node, unsigned offset, unsigned covered)
{
	if (xa_is_internal(xa_entry_locked(node, offset)))
		return "an internal entry where it cannot be";
	if (!std::has_single_bit(covered) || offset % covered != 0)
		return "an entry covers slots that are no aligned power of two";
	for (unsigned i = offset + 1; i < offset + covered; i++) {
		if (node_get_marks(node, i) != 0)
			return "a sibling has a mark";
	}
	return nullptr;
}

const char *check_node(const xarray *xa, xa_node *node)
{
	const unsigned slots = 1u << xa->xa_chunk_shift;
	unsigned count = 0;
	unsigned values = 0;

	for (unsigned i = 0; i < slots;) {
		void *entry = xa_entry_locked(node, i);
		unsigned covered = 1;
		if (entry == nullptr) {
			if (node_get_marks(node, i) != 0)
				return "an empty slot has a mark";
			i++;
			continue;
		}
		if (xa_is_node(entry)) {
			xa_node *child = xa_to_node(entry);
			if (node->shift == 0)
				return "a leaf has a child";
			if (child->parent.peek() != node || child->offset != i)
				return "a child does not know its place";
			if (child->shift + xa->xa_chunk_shift != node->shift)
				return "a child's shift does not fit its parent's";
			for (xa_mark_t mark : kMarks) {
				if (node_any_mark(child, mark) !=
				    ((node->marks[mark].peek() & bit(i)) != 0))
					return "a slot's mark is not that of its child";
			}
			if (const char *wrong = check_node(xa, child))
				return wrong;
		} else {
			covered = slots_of_entry(node, i, slots);
			if (const char *wrong = check_entry(node, i, covered))
				return wrong;
			values += xa_is_value(entry) ? covered : 0;
		}
		count += covered;
		i += covered;
	}
	if (count != node->count)
		return "a node's count is wrong";
	if (values != node->nr_values)
		return "a node's count of values is wrong";
	return nullptr;
}

} // namespace

xa_peeked xa_peek(const xarray *xa, std::uint64_t index)
{
	void *entry = xa->xa_head.peek();

	if (!xa_is_node(entry)) {
		if (index != 0 || entry == nullptr)
			return {};
		return { entry, 0, xa->xa_marks.peek() };
	}
	if (index > max_index(xa, entry))
		return {};
	for (;;) {
		xa_node *node = xa_to_node(entry);
		const unsigned slots = 1u << xa->xa_chunk_shift;
		auto offset = static_cast<unsigned>(index >> shift_of(node) & (slots - 1));
		entry = xa_entry_locked(node, offset);
		if (xa_is_sibling(entry)) {
			offset = xa_to_sibling(entry);
			entry = xa_entry_locked(node, offset);
		}
		if (entry == nullptr)
			return {};
		if (!xa_is_node(entry)) {
			const unsigned covered = slots_of_entry(node, offset, slots);
			return { entry,
				 shift_of(node) + static_cast<unsigned>(std::bit_width(covered)) -
					 1,
				 node_get_marks(node, offset) };
		}
	}
}

/* Nodes without entries are allowed: xas_create_range() and failed stores leave them. */
const char *xa_check(const xarray *xa)
{
	void *head = xa->xa_head.peek();

	if (!xa_is_node(head)) {
		if (xa_is_internal(head))
			return "the head is an internal entry";
		return head == nullptr && xa->xa_marks.peek() != 0 ? "an empty array has marks"
								   : nullptr;
	}
	xa_node *node = xa_to_node(head);
	if (node->parent.peek() != nullptr)
		return "the topmost node has a parent";
	for (xa_mark_t mark : kMarks) {
		if (node_any_mark(node, mark) != ((xa->xa_marks.peek() & bit(mark)) != 0))
			return "the array's marks are not those of its topmost node";
	}
	return check_node(xa, node);
}

} // namespace kernel
