// SPDX-License-Identifier: GPL-2.0-only
// XArray nodes for reports: whose tree they are in, and which indices lie below.
#include "engine/kernel/fields.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/xa_node.h"
#include "scheduler/object_names.h"

namespace kernel
{

namespace
{

const interleaf::Shared<void *> &slot_of(const xa_node &node, unsigned number)
{
	return const_cast<xa_node &>(node).slot(number);
}

std::string slot_text(const interleaf::Scheduler &scheduler, const void *object, unsigned number)
{
	const void *entry = slot_of(*static_cast<const xa_node *>(object), number).peek();
	if (xa_is_value(entry))
		return "shadow";
	if (xa_is_sibling(entry))
		return "sibling of slots[" + std::to_string(xa_to_sibling(entry)) + "]";
	if (bits_of(entry) == kRetryBits)
		return "retry";
	if (xa_is_node(entry))
		return interleaf::pointer_text(scheduler, xa_to_node(entry));
	return interleaf::pointer_text(scheduler, entry);
}

/* The slots that have the mark: "none", "0 3". */
template <xa_mark_t mark>
std::string mark_text(const interleaf::Scheduler &, const void *object, unsigned)
{
	const std::uint64_t word = static_cast<const xa_node *>(object)->marks[mark].peek();
	std::string text;
	for (unsigned slot = 0; slot < 64; slot++) {
		if ((word >> slot & 1) != 0)
			text += (text.empty() ? "slots " : " ") + std::to_string(slot);
	}
	return text.empty() ? "no slots" : text;
}

#define MARK(mark)                                                                             \
	{                                                                                      \
		"marks[" #mark "]", offsetof(xa_node, marks) + mark * sizeof(*xa_node::marks), \
			sizeof(*xa_node::marks), 1, mark_text<mark>                            \
	}

constexpr interleaf::BlockField xa_node_fields[] = {
	FIELD(xa_node, parent),
	MARK(PAGECACHE_TAG_DIRTY),
	MARK(PAGECACHE_TAG_WRITEBACK),
	MARK(PAGECACHE_TAG_TOWRITE),
	{ "slots", sizeof(xa_node), sizeof(interleaf::Shared<void *>), 0, slot_text },
};

/* A node that was taken out keeps its parent pointer, but the parent does not know it any more. */
bool is_child(const xa_node &node, const xa_node &parent)
{
	const void *entry = slot_of(parent, node.offset).peek();
	return xa_is_node(entry) && xa_to_node(entry) == &node;
}

std::string xa_node_name(const interleaf::Scheduler &scheduler, const void *object)
{
	const auto *const node = static_cast<const xa_node *>(object);
	const xa_node *top = node;
	std::uint64_t first = 0;
	for (const xa_node *parent = top->parent.peek(); parent != nullptr;
	     top = parent, parent = top->parent.peek()) {
		if (!scheduler.arena().is_live_block(parent) || !is_child(*top, *parent))
			return "detached xa_node";
		first += static_cast<std::uint64_t>(top->offset) << parent->shift;
	}
	for (const inode *owner : machine_of(scheduler).sb->inodes) {
		const xarray &pages = owner->i_data.i_pages;
		const void *head = pages.xa_head.peek();
		if (!xa_is_node(head) || xa_to_node(head) != top)
			continue;
		const std::uint64_t last =
			first + (std::uint64_t{ 1 } << pages.xa_chunk_shift << node->shift) - 1;
		return "xa_node at index " + std::to_string(first) + ".." + std::to_string(last) +
		       " of " + owner->name;
	}
	return "detached xa_node";
}

} // namespace

const interleaf::BlockType xa_node_block{ "xa_node", nullptr, xa_node_fields, xa_node_name };

} // namespace kernel
