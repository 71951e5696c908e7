// SPDX-License-Identifier: GPL-2.0-only
// One simulated machine: everything that is global in a kernel. It is the root object of a World,
// in its arena; there is no other mutable state in the port.
#pragma once

#include <vector>

#include "engine/kernel/block_types.h"
#include "engine/kernel/config.h"
#include "engine/kernel/hooks.h"
#include "engine/kernel/patch.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/rcu.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"
#include "scheduler/sync/wait_queue.h"

namespace kernel
{

struct block_device;
struct file;
struct inode;
struct lru_state;
struct mm_struct;
struct super_block;

/* How many failures of a kind a run may inject. */
struct fault_budget {
	unsigned alloc = 0; /* folios, xarray nodes, page tables, memory charges */
	unsigned copy = 0; /* from and to users, machine checks while copying */
	unsigned bio = 0; /* I/O errors */
};

/* What is left of a budget. Tasks that draw on one depend on each other, once it is drawn on. */
struct faults_left {
	unsigned left = 0;
	interleaf::ObjectNumber number;
};

/* Node and VM statistics that ported code keeps; for invariants at the end of a run. */
struct vm_statistics {
	interleaf::Atomic<long> nr_file_pages;
	interleaf::Atomic<long> nr_file_dirty;
	interleaf::Atomic<long> nr_writeback;
	interleaf::Atomic<long> nr_file_thps;
	interleaf::Atomic<long> nr_file_mapped;
};
/* Per-CPU counters in Linux, which nobody's control flow looks at: no point. */
inline void vm_stat_add(interleaf::Atomic<long> &counter, long delta)
{
	counter.poke(counter.peek() + delta);
}

/* Memory of users that a copy from them faults at: [begin, end). */
struct unreadable_range {
	const unsigned char *begin;
	const unsigned char *end;
};

struct machine {
	geometry geo;
	const struct persona *fs = nullptr;
	patch_set patches = 0;
	observer *watcher = nullptr; /* never null while tasks run */
	std::vector<unreadable_range> unreadable; /* does not change while they run */

	interleaf::Rcu rcu;
	vm_statistics stat;
	lru_state *lru = nullptr; /* swap.cc */
	super_block *sb = nullptr; /* the one filesystem */
	interleaf::Spinlock khugepaged_mm_lock;
	std::vector<mm_struct *> khugepaged_mms; /* khugepaged_mm_lock; registered mms */
	mm_struct *khugepaged_scanning = nullptr; /* khugepaged_mm_lock; it looks at this one */
	interleaf::WaitQueue khugepaged_wait{ "khugepaged_wait" };
	bool direct_io = false; /* files may be opened with O_DIRECT */
	unsigned folio_numbers = 0; /* folios created so far, for reports */
	faults_left any_faults; /* of any kind */
	faults_left alloc_faults; /* of these kinds besides */
	faults_left copy_faults;
	faults_left bio_faults;

	machine();
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, machine_block);
	}
};

struct machine_config {
	geometry geo;
	const struct persona *fs;
	patch_set patches;
	observer *watcher; /* null: nobody watches */
	unsigned faults_max = 0; /* injected failures of any kind per run */
	fault_budget faults; /* and of these kinds */
};
/* Makes the machine of the World that is being set up: LRU, super block, disk, and the tasks every
 * machine has (I/O completion "kworker/io", RCU "rcu_gp"), as daemons. */
machine *boot_machine(interleaf::Scheduler &scheduler, const machine_config &config);
/* Daemons a scenario asks for. */
void spawn_flusher(interleaf::Scheduler &scheduler);
void spawn_khugepaged(interleaf::Scheduler &scheduler);
/* Two daemons: the device as far as direct I/O is concerned ("dma"), and the worker that makes pages
 * dirty after it ("kworker/events"). Without them no file can be opened with O_DIRECT. */
void spawn_direct_io(interleaf::Scheduler &scheduler);

/* The machine of the running (or set-up) World. Requires: there is one. */
machine &this_machine();

inline unsigned page_size()
{
	return this_machine().geo.page_size;
}
inline unsigned hpage_pages()
{
	return this_machine().geo.hpage_pages;
}
unsigned page_shift();
unsigned hpage_order(); /* HPAGE_PMD_ORDER */

inline interleaf::Rcu &rcu()
{
	return this_machine().rcu;
}
inline void rcu_read_lock(std::source_location where = std::source_location::current())
{
	rcu().read_lock(where);
}
inline void rcu_read_unlock(std::source_location where = std::source_location::current())
{
	rcu().read_unlock(where);
}

/* A failure that a run may inject: 0 is "works". Counts against the scenario's fault budget. */
bool should_fail(const char *kind);

} // namespace kernel
