// SPDX-License-Identifier: GPL-2.0-only
// The XArray's nodes: made, given out to walkers, freed through RCU (lib/xarray.c of 6.12).
//
// Allocation under the lock only fails where the run injects it; then the caller drops the lock
// and xas_nomem() allocates.
#include <new>

#include "engine/kernel/bug.h"
#include "engine/kernel/errno.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/xas.h"
#include "scheduler/frame.h"

namespace kernel
{

using interleaf::Shared;

namespace
{

interleaf::Arena &arena()
{
	return interleaf::Scheduler::instance()->arena();
}

void radix_tree_node_rcu_free(interleaf::RcuHead *head)
{
	interleaf::Scheduler::instance()->free(reinterpret_cast<xa_node *>(head));
}

} // namespace

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

} // namespace kernel
