// SPDX-License-Identifier: GPL-2.0-only
// Boot: builds the machine of a World and the tasks that every machine has.
#include "engine/kernel/machine.h"

#include <bit>
#include <string_view>

#include "engine/kernel/block.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/khugepaged.h"
#include "engine/kernel/writeback.h"
#include "scheduler/check.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass khugepaged_mm_lock_class{ "khugepaged_mm_lock" };

/* For machines that nobody judges. */
class null_observer final : public powered_observer {
public:
	unsigned write_begin(inode &, loff_t, const void *, std::size_t) override { return 0; }
	void write_end(unsigned, long) override {}
	unsigned read_begin(inode &, loff_t, std::size_t) override { return 0; }
	void read_end(unsigned, const void *, long) override {}
	void size_changed(inode &, loff_t) override {}
	void dirty_cancelled(folio &) override {}
	void folio_removed(inode &, folio &, folio *) override {}
	void folio_set_aside(inode &, folio &, bool) override {}
	void block_written(inode &, loff_t, std::size_t) override {}
	void write_error(inode &, loff_t, std::size_t) override {}
	void sync_promised(inode &) override {}
};

} // namespace

machine::machine() : khugepaged_mm_lock(khugepaged_mm_lock_class) {}

machine *boot_machine(interleaf::Scheduler &scheduler, const machine_config &config)
{
	CHECK(config.fs != nullptr);
	CHECK(std::has_single_bit(config.geo.page_size));
	CHECK(std::has_single_bit(config.geo.hpage_pages) && config.geo.hpage_pages >= 2);

	auto *m = new machine;
	m->geo = config.geo;
	m->fs = config.fs;
	m->patches = config.patches;
	m->watcher = config.watcher != nullptr ? config.watcher : new null_observer;
	m->any_faults.left = config.faults_max;
	m->alloc_faults.left = config.faults.alloc;
	m->copy_faults.left = config.faults.copy;
	m->bio_faults.left = config.faults.bio;
	/* What follows asks this_machine() for its geometry. */
	scheduler.set_root(m);
	lru_init(*m);
	m->sb = new super_block;
	m->sb->s_op = m->fs->s_op;
	m->sb->s_bdev = new block_device(m->geo);

	scheduler.spawn(
		"kworker/io", [](void *) { io_completions(); }, nullptr, true);
	scheduler.spawn(
		"rcu_gp",
		[](void *argument) { static_cast<machine *>(argument)->rcu.grace_periods(); }, m,
		true);
	if (m->sb->s_op->spawn_daemons != nullptr)
		m->sb->s_op->spawn_daemons(scheduler);
	return m;
}

void spawn_flusher(interleaf::Scheduler &scheduler)
{
	scheduler.spawn(
		"flusher", [](void *) { wb_workfn(); }, nullptr, true);
}

void spawn_khugepaged(interleaf::Scheduler &scheduler)
{
	scheduler.spawn(
		"khugepaged", [](void *) { khugepaged(); }, nullptr, true);
}

void spawn_direct_io(interleaf::Scheduler &scheduler)
{
	this_machine().direct_io = true;
	scheduler.spawn(
		"dma", [](void *) { direct_io_completions(); }, nullptr, true);
	scheduler.spawn(
		"kworker/events", [](void *) { bio_dirty_fn(); }, nullptr, true);
}

machine &this_machine()
{
	return *static_cast<machine *>(interleaf::Scheduler::instance()->root());
}

unsigned page_shift()
{
	return static_cast<unsigned>(std::countr_zero(page_size()));
}

unsigned hpage_order()
{
	return static_cast<unsigned>(std::countr_zero(hpage_pages()));
}

/* The budget that a failure of this kind counts against first. */
static faults_left &fault_budget_of(machine &m, std::string_view kind)
{
	if (kind == "bio")
		return m.bio_faults;
	if (kind.starts_with("copy") || kind == "fault_in_readable")
		return m.copy_faults;
	return m.alloc_faults;
}

/* A budget with something left, or null. Looked at in the step under way, as is all below. */
static faults_left *open_budget(interleaf::Scheduler &scheduler, const char *kind)
{
	machine &m = this_machine();
	for (faults_left *budget : { &fault_budget_of(m, kind), &m.any_faults }) {
		scheduler.also(interleaf::Op::kRead, budget->number, budget);
		if (budget->left != 0)
			return budget;
	}
	return nullptr;
}

bool should_fail(const char *kind)
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	if (scheduler == nullptr)
		return false;
	if (open_budget(*scheduler, kind) == nullptr || scheduler->choose(kind, 2) == 0)
		return false;
	/* The choice was a point: somebody else may have been faster. */
	faults_left *budget = open_budget(*scheduler, kind);
	if (budget == nullptr)
		return false;
	scheduler->also(interleaf::Op::kReadModifyWrite, budget->number, budget);
	--budget->left;
	return true;
}

} // namespace kernel
