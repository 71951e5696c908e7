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
// Allocation under the lock only fails where the run injects it; then the caller drops the lock
// and xas_nomem() allocates.
//
// Left out: XA_FLAGS_* (IDs, free tracking, zero entries, accounting), xas_prev(), reservations,
// the workingset's list of nodes, allocation between dropping and retaking the lock in xa_store().
// Beyond Linux: xas_split() splits over any number of levels, since our nodes may be tiny.
#include "engine/kernel/xarray.h"

#include <bit>
#include <new>

#include "engine/kernel/bug.h"
#include "engine/kernel/errno.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/xa_node.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"

namespace kernel
{

using interleaf::Shared;

namespace
{

constexpr interleaf::LockClass xa_lock_class{ "xa_lock" };

/* ---- entries ---- */

void *xa_mk_internal(std::uintptr_t value)
{
	return reinterpret_cast<void *>(value << 2 | 2);
}

void *xa_mk_sibling(unsigned offset)
{
	return xa_mk_internal(offset);
}

void *xa_retry_entry()
{
	return reinterpret_cast<void *>(kRetryBits);
}

void *xa_mk_node(const xa_node *node)
{
	return reinterpret_cast<void *>(bits_of(node) | 2);
}

/* ---- states of a walker, in place of its node ---- */

xa_node *xas_state(std::intptr_t value)
{
	return reinterpret_cast<xa_node *>(value);
}

constexpr std::intptr_t kBounds = 1;
constexpr std::intptr_t kRestart = 3;

xa_node *xas_error_state(int error)
{
	return xas_state(static_cast<std::intptr_t>(error) * 4 | 2);
}

bool is_bounds(const xa_node *node)
{
	return bits_of(node) == kBounds;
}

bool is_restart(const xa_node *node)
{
	return bits_of(node) == kRestart;
}

/* Bounds, restart or an error; the walker is nowhere. */
bool xas_invalid(const xa_state *xas)
{
	return (bits_of(xas->xa_node_) & 3) != 0;
}

bool xas_is_node(const xa_state *xas)
{
	return !xas_invalid(xas) && xas->xa_node_ != nullptr;
}

/* Restart or an error: the index was not looked at yet. */
bool xas_frozen(const xa_state *xas)
{
	return (bits_of(xas->xa_node_) & 2) != 0;
}

/* At the root entry, bounds or restart. */
bool xas_top(const xa_state *xas)
{
	return bits_of(xas->xa_node_) <= kRestart;
}

void *set_bounds(xa_state *xas)
{
	xas->xa_node_ = xas_state(kBounds);
	return nullptr;
}

/* ---- geometry ---- */

unsigned chunk_shift(const xa_state *xas)
{
	return xas->xa->xa_chunk_shift;
}

unsigned chunk_size(const xa_state *xas)
{
	return 1u << xas->xa->xa_chunk_shift;
}

std::uint64_t chunk_mask(const xa_state *xas)
{
	return chunk_size(xas) - 1;
}

/* Masked, so that a walker in a freed node gets to the access that reports it. */
unsigned shift_of(const xa_node *node)
{
	return node->shift & 63u;
}

unsigned get_offset(const xa_state *xas, const xa_node *node)
{
	return static_cast<unsigned>(xas->xa_index >> shift_of(node) & chunk_mask(xas));
}

/* The highest index below this head. */
std::uint64_t max_index(const xarray *xa, const void *head)
{
	if (!xa_is_node(head))
		return 0;
	return (std::uint64_t{ 1 } << xa->xa_chunk_shift << shift_of(xa_to_node(head))) - 1;
}

/* The last index that a store would need room for; a multi-index entry needs a node around it. */
std::uint64_t xas_max(const xa_state *xas)
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

void xas_set_offset(xa_state *xas)
{
	xas->xa_offset = get_offset(xas, xas->xa_node_);
}

void xas_move_index(xa_state *xas, std::uint64_t offset)
{
	const unsigned shift = shift_of(xas->xa_node_);
	xas->xa_index &= ~chunk_mask(xas) << shift;
	xas->xa_index += offset << shift;
}

void xas_next_offset(xa_state *xas)
{
	xas->xa_offset++;
	xas_move_index(xas, xas->xa_offset);
}

/* ---- loads: with a point for who may hold no lock, without for the holder ---- */

void *xa_entry(xa_node *node, unsigned offset)
{
	return READ_ONCE(node->slot(offset));
}

void *xa_entry_locked(xa_node *node, unsigned offset)
{
	return node->slot(offset).peek();
}

xa_node *xa_parent(const xa_node *node)
{
	return READ_ONCE(node->parent);
}

xa_node *xa_parent_locked(const xa_node *node)
{
	return node->parent.peek();
}

/* ---- marks of a node; xa_lock held except for the last two ---- */

constexpr xa_mark_t kMarks[] = { XA_MARK_0, XA_MARK_1, XA_MARK_2 };

constexpr std::uint64_t bit(unsigned offset)
{
	return std::uint64_t{ 1 } << offset;
}

/* Returns the old value. */
bool node_set_mark(xa_node *node, unsigned offset, xa_mark_t mark)
{
	const std::uint64_t word = node->marks[mark].peek();
	if ((word & bit(offset)) != 0)
		return true;
	node->marks[mark].store(word | bit(offset));
	return false;
}

bool node_clear_mark(xa_node *node, unsigned offset, xa_mark_t mark)
{
	const std::uint64_t word = node->marks[mark].peek();
	if ((word & bit(offset)) == 0)
		return false;
	node->marks[mark].store(word & ~bit(offset));
	return true;
}

bool node_any_mark(const xa_node *node, xa_mark_t mark)
{
	return node->marks[mark].peek() != 0;
}

/* Bit m: the slot has mark m. */
unsigned node_get_marks(const xa_node *node, unsigned offset)
{
	unsigned marks = 0;
	for (xa_mark_t mark : kMarks)
		marks |= static_cast<unsigned>(node->marks[mark].peek() >> offset & 1) << mark;
	return marks;
}

bool node_get_mark(const xa_node *node, unsigned offset, xa_mark_t mark)
{
	return (READ_ONCE(node->marks[mark]) & bit(offset)) != 0;
}

/* The next slot with the mark, from the walker's on, or behind it if `advance`. */
unsigned xas_find_chunk(const xa_state *xas, bool advance, xa_mark_t mark)
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

/* ---- nodes ---- */

interleaf::Arena &arena()
{
	return interleaf::Scheduler::instance()->arena();
}

xa_node *new_node(const xarray *xa)
{
	const std::size_t slots = std::size_t{ 1 } << xa->xa_chunk_shift;
	void *memory = arena().allocate(sizeof(xa_node) + slots * sizeof(Shared<void *>),
					alignof(xa_node), &xa_node_block);
	auto *node = new (memory) xa_node;
	for (unsigned i = 0; i < slots; i++)
		new (&node->slot(i)) Shared<void *>;
	return node;
}

/* Of a node that never was in the tree, with all below it. */
void free_unused(const xarray *xa, xa_node *node)
{
	for (unsigned i = 0; i < 1u << xa->xa_chunk_shift; i++) {
		if (xa_is_node(xa_entry_locked(node, i)))
			free_unused(xa, xa_to_node(xa_entry_locked(node, i)));
	}
	interleaf::Scheduler::instance()->free(node);
}

void radix_tree_node_rcu_free(interleaf::RcuHead *head)
{
	interleaf::Scheduler::instance()->free(reinterpret_cast<xa_node *>(head));
}

/*
 * Nothing in the tree points to it, but there may be walkers in it. Linux may call this a little
 * earlier, because its grace periods do not begin and end while a CPU has interrupts off, as every
 * holder of xa_lock has; ours do.
 */
void xa_node_free(xa_node *node)
{
	rcu().call(&node->rcu, radix_tree_node_rcu_free);
}

/* A node for the walker's slot, empty, not linked yet. Null: the walker is in an error state. */
xa_node *xas_alloc(xa_state *xas, unsigned shift)
{
	xa_node *parent = xas->xa_node_;
	xa_node *node = xas->xa_alloc;

	if (xas_invalid(xas))
		return nullptr;
	if (node != nullptr) {
		BUG_ON(node->count != 0); /* it was meant for a split: see xas_destroy() */
		xas->xa_alloc = nullptr;
	} else {
		if (should_fail("xa_node")) {
			xas_set_err(xas, -ENOMEM);
			return nullptr;
		}
		node = new_node(xas->xa);
	}
	if (parent != nullptr) {
		node->offset = static_cast<std::uint8_t>(xas->xa_offset);
		parent->count++;
		BUG_ON(parent->count > chunk_size(xas));
	}
	node->shift = static_cast<std::uint8_t>(shift);
	node->parent.poke(parent);
	return node;
}

/* ---- walking ---- */

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

/* ---- growing and shrinking; xa_lock held ---- */

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

/* ---- splitting ---- */

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

void xas_destroy(xa_state *xas)
{
	while (xas->xa_alloc != nullptr) {
		xa_node *node = xas->xa_alloc;
		xas->xa_alloc = node->parent.peek();
		free_unused(xas->xa, node);
	}
}

/* May sleep. In any other state it gives back what was allocated and not used. */
bool xas_nomem(xa_state *xas)
{
	FRAME(xas_nomem);
	if (xas_error(xas) != -ENOMEM) {
		xas_destroy(xas);
		return false;
	}
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->might_sleep(std::source_location::current());
	if (should_fail("xa_node"))
		return false;
	xas->xa_alloc = new_node(xas->xa);
	xas_reset(xas);
	return true;
}

/* ---- reading: RCU or xa_lock ---- */

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

/* Of the entry the walker is at. */
bool xas_get_mark(const xa_state *xas, xa_mark_t mark)
{
	if (xas_invalid(xas))
		return false;
	if (xas->xa_node_ == nullptr)
		return xa_marked(xas->xa, mark);
	return node_get_mark(xas->xa_node_, xas->xa_offset, mark);
}

/* ---- writing: xa_lock held ---- */

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

/* ---- for reports and tests ---- */

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
