// SPDX-License-Identifier: GPL-2.0-only
// The LRU: per-CPU batches of folios on their way to a list, the lists, isolation (mm/swap.c and
// folio_isolate_lru() of mm/vmscan.c; 6.12, without multi-generational LRU).
//
// A folio in a batch has one reference more and is not PG_lru: not yet in lru_add, no longer in
// the other two. Who clears PG_lru owns the folio's place on the list.
//
// A task is a CPU of its own, and its local lock a spinlock, as with PREEMPT_RT. In Linux
// lru_add_drain_all() runs work on every CPU and waits for it; here the caller does the work,
// which can happen wherever the local lock is free, as there.
//
// Left out: unevictable and mlocked folios, the batches that nobody here fills (move_tail,
// deactivate, lazyfree), list sizes, workingset statistics, lru_cache_disable().
//
// Lock order: drain mutex -> cpu_fbatches.lock -> lru_lock.
#include "engine/kernel/folio.h"

#include <algorithm>
#include <vector>

#include "engine/kernel/bug.h"
#include "engine/kernel/fields.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/spinlock.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass lru_lock_class{ "lru_lock" };
constexpr interleaf::LockClass cpu_fbatches_class{ "cpu_fbatches.lock" };
constexpr interleaf::LockClass drain_mutex_class{ "lru_add_drain_all mutex" };

struct lru_list {
	folio *first = nullptr;
	folio *last = nullptr;
};

enum lru_batches : unsigned { LRU_ADD, LRU_DEACTIVATE_FILE, LRU_ACTIVATE, NR_LRU_BATCHES };

struct cpu_fbatches {
	interleaf::Spinlock lock{ cpu_fbatches_class };
	std::vector<folio *> batches[NR_LRU_BATCHES]; /* up to geometry.lru_batch in each */
};

} // namespace

struct lru_state {
	interleaf::Spinlock lru_lock{ lru_lock_class };
	lru_list lists[2]; /* lru_lock; inactive, active. New ones come first */
	interleaf::Mutex drain_mutex{ drain_mutex_class };
	cpu_fbatches cpus[interleaf::kTasksMax + 1]; /* the last one is of the set-up */

	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, lru_state_block);
	}
};

namespace
{

constexpr interleaf::BlockField lru_state_fields[] = {
	FIELD(lru_state, lru_lock),
	FIELD(lru_state, drain_mutex),
	{ "cpu_fbatches", offsetof(lru_state, cpus), sizeof(cpu_fbatches), interleaf::kTasksMax + 1,
	  [](const interleaf::Scheduler &s, const void *object, unsigned cpu) {
		  return interleaf::value_text(
			  s, static_cast<const lru_state *>(object)->cpus[cpu].lock);
	  } },
};

std::string no_name(const interleaf::Scheduler &, const void *)
{
	return "";
}

} // namespace

const interleaf::BlockType lru_state_block{ "lru", "memory", lru_state_fields, no_name };

namespace
{

lru_state &lru()
{
	return *this_machine().lru;
}

cpu_fbatches &this_cpu()
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	return lru().cpus[scheduler == nullptr ? interleaf::kTasksMax : scheduler->current_id()];
}

lru_list &folio_lru_list(const folio *f)
{
	return lru().lists[folio_test_active(f) ? 1 : 0];
}

/* lru_lock held, for these four. */
void lruvec_add_folio(folio *f)
{
	lru_list &list = folio_lru_list(f);
	f->lru_prev = nullptr;
	f->lru_next = list.first;
	(list.first != nullptr ? list.first->lru_prev : list.last) = f;
	list.first = f;
}

void lruvec_add_folio_tail(folio *f)
{
	lru_list &list = folio_lru_list(f);
	f->lru_next = nullptr;
	f->lru_prev = list.last;
	(list.last != nullptr ? list.last->lru_next : list.first) = f;
	list.last = f;
}

void lruvec_del_folio(folio *f)
{
	lru_list &list = folio_lru_list(f);
	VM_BUG_ON_FOLIO(f->lru_prev == nullptr && list.first != f, f);
	(f->lru_prev != nullptr ? f->lru_prev->lru_next : list.first) = f->lru_next;
	(f->lru_next != nullptr ? f->lru_next->lru_prev : list.last) = f->lru_prev;
	f->lru_prev = nullptr;
	f->lru_next = nullptr;
}

void lru_deactivate_file(folio *f)
{
	if (folio_mapped(f))
		return; /* somebody uses it */
	lruvec_del_folio(f);
	folio_clear_active(f);
	folio_clear_referenced(f);
	if (folio_test_writeback(f) || folio_test_dirty(f)) {
		/* At the head; the end of writeback moves it to the tail. */
		lruvec_add_folio(f);
		folio_set_reclaim(f);
	} else {
		lruvec_add_folio_tail(f);
	}
}

void lru_activate(folio *f)
{
	if (folio_test_active(f))
		return;
	lruvec_del_folio(f);
	folio_set_active(f);
	lruvec_add_folio(f);
}

/* Local lock held, for both. */
void folio_batch_move_lru(cpu_fbatches &cpu, lru_batches which)
{
	FRAME(folio_batch_move_lru);
	std::vector<folio *> &batch = cpu.batches[which];

	lru().lru_lock.lock();
	for (folio *f : batch) {
		switch (which) {
		case LRU_ADD:
			lruvec_add_folio(f);
			break;
		case LRU_DEACTIVATE_FILE:
			lru_deactivate_file(f);
			break;
		default:
			lru_activate(f);
		}
		folio_set_lru(f);
	}
	lru().lru_lock.unlock();

	folios_put_refs(batch.data(), static_cast<unsigned>(batch.size()));
	batch.clear();
}

void lru_add_drain_cpu(cpu_fbatches &cpu)
{
	FRAME(lru_add_drain_cpu);
	for (lru_batches which : { LRU_ADD, LRU_DEACTIVATE_FILE, LRU_ACTIVATE }) {
		if (!cpu.batches[which].empty())
			folio_batch_move_lru(cpu, which);
	}
}

/* on_lru: it is on a list and leaves it when the batch is moved; somebody may be faster. */
void __folio_batch_add_and_move(lru_batches which, folio *f, bool on_lru)
{
	FRAME(__folio_batch_add_and_move);
	if (on_lru && !folio_test_clear_lru(f))
		return;
	folio_get(f);

	cpu_fbatches &cpu = this_cpu();
	cpu.lock.lock();
	std::vector<folio *> &batch = cpu.batches[which];
	const unsigned size = this_machine().geo.lru_batch;
	batch.reserve(size);
	batch.push_back(f);
	if (batch.size() == size || folio_test_large(f))
		folio_batch_move_lru(cpu, which);
	cpu.lock.unlock();
}

void folio_activate(folio *f)
{
	FRAME(folio_activate);
	if (folio_test_active(f))
		return;
	__folio_batch_add_and_move(LRU_ACTIVATE, f, true);
}

/* It may still be in this CPU's batch, where the flag is enough. On another CPU: bad luck. */
void __lru_cache_activate_folio(folio *f)
{
	FRAME(__lru_cache_activate_folio);
	cpu_fbatches &cpu = this_cpu();
	cpu.lock.lock();
	const std::vector<folio *> &batch = cpu.batches[LRU_ADD];
	if (std::find(batch.begin(), batch.end(), f) != batch.end())
		folio_set_active(f);
	cpu.lock.unlock();
}

} // namespace

/* The caller has a reference; this takes another one until the batch is moved. */
void folio_add_lru(folio *f)
{
	FRAME(folio_add_lru);
	VM_BUG_ON_FOLIO(f->flags.look(PG_lru), f);
	__folio_batch_add_and_move(LRU_ADD, f, false);
}

void lru_add_drain()
{
	FRAME(lru_add_drain);
	cpu_fbatches &cpu = this_cpu();
	cpu.lock.lock();
	lru_add_drain_cpu(cpu);
	cpu.lock.unlock();
}

/* Sleeps. */
void lru_add_drain_all()
{
	FRAME(lru_add_drain_all);
	lru_state &all = lru();
	all.drain_mutex.lock();
	const unsigned tasks = interleaf::Scheduler::instance()->task_count();
	for (unsigned i = 0; i <= interleaf::kTasksMax; i++) {
		if (i >= tasks && i != interleaf::kTasksMax)
			continue;
		all.cpus[i].lock.lock();
		lru_add_drain_cpu(all.cpus[i]);
		all.cpus[i].lock.unlock();
	}
	all.drain_mutex.unlock();
}

/* The caller has a reference. False: it was not on a list (in a batch, or isolated already). */
bool folio_isolate_lru(folio *f)
{
	FRAME(folio_isolate_lru);
	VM_BUG_ON_FOLIO(f->_refcount.look() == 0, f);
	if (!folio_test_clear_lru(f))
		return false;
	folio_get(f);
	lru().lru_lock.lock();
	lruvec_del_folio(f);
	lru().lru_lock.unlock();
	return true;
}

/* Back to a batch; the reference of the isolation is dropped. */
void folio_putback_lru(folio *f)
{
	FRAME(folio_putback_lru);
	folio_add_lru(f);
	folio_put(f);
}

/*
 * inactive -> inactive, referenced -> active. The caller has a reference.
 */
void folio_mark_accessed(folio *f)
{
	FRAME(folio_mark_accessed);
	if (!folio_test_referenced(f)) {
		folio_set_referenced(f);
	} else if (!folio_test_active(f)) {
		if (folio_test_lru(f))
			folio_activate(f);
		else
			__lru_cache_activate_folio(f);
		folio_clear_referenced(f);
	}
}

/* The caller has a reference. */
void deactivate_file_folio(folio *f)
{
	FRAME(deactivate_file_folio);
	__folio_batch_add_and_move(LRU_DEACTIVATE_FILE, f, true);
}

void folio_lruvec_lock()
{
	lru().lru_lock.lock();
}

void unlock_page_lruvec()
{
	lru().lru_lock.unlock();
}

/* lru_lock held. The head's references are frozen, so it is neither isolated nor in a batch. */
void lru_add_page_tail(folio *head, folio *tail)
{
	FRAME(lru_add_page_tail);
	VM_BUG_ON_FOLIO(!head->flags.look(PG_lru), head);
	tail->flags.poke(PG_lru, true);
	lru_list &list = lru().lists[head->flags.look(PG_active) ? 1 : 0];
	tail->lru_prev = head->lru_prev;
	tail->lru_next = head;
	(head->lru_prev != nullptr ? head->lru_prev->lru_next : list.first) = tail;
	head->lru_prev = tail;
}

/* The count is zero. May not sleep. */
void __page_cache_release(folio *f)
{
	FRAME(__page_cache_release);
	if (!folio_test_lru(f))
		return;
	lru().lru_lock.lock();
	lruvec_del_folio(f);
	folio_clear_lru(f);
	folio_clear_active(f);
	lru().lru_lock.unlock();
}

void lru_init(machine &m)
{
	CHECK(m.geo.lru_batch > 0);
	m.lru = new lru_state;
}

bool lru_peek(const folio *f)
{
	for (const lru_list &list : lru().lists) {
		for (const folio *at = list.first; at != nullptr; at = at->lru_next) {
			if (at == f)
				return true;
		}
	}
	return false;
}

} // namespace kernel
