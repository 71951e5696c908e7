// SPDX-License-Identifier: GPL-2.0-only
// One entry of a page table, shared between software and the CPUs that walk it.
//
// A TLB flush waits for every CPU that is in the middle of an access through the translation it
// flushes. Flushes are immediate here, so whoever changes an entry waits until no CPU is between
// its walk of that entry and the load or store it walked for. Walkers never wait for anybody, so
// this cannot deadlock. Software's loads and the CPU's own updates (accessed, dirty) do not wait.
#pragma once

#include <cstdint>
#include <source_location>
#include <type_traits>

#include "scheduler/scheduler.h"

namespace kernel
{

template <typename T>
class TableEntry {
	static_assert(std::is_trivially_copyable_v<T>);

public:
	using Where = std::source_location;

	TableEntry() = default;
	TableEntry(const TableEntry &) = delete;
	TableEntry &operator=(const TableEntry &) = delete;

	/* Arrays of entries say what they are. */
	static void *operator new[](std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, T::entries);
	}

	/* Software, as in Shared<T>: plain and marked accesses, one point each. */
	T load(Where where = Where::current()) const { return read(false, where); }
	T read_once(Where where = Where::current()) const { return read(true, where); }
	void store(T value, Where where = Where::current())
	{
		change(interleaf::Op::kWrite, value, where);
	}
	void write_once(T value, Where where = Where::current())
	{
		change(interleaf::Op::kWrite, value, where);
	}
	/* Returns the old value; what the CPU set in it until now is not lost. */
	T xchg(T value, Where where = Where::current())
	{
		return change(interleaf::Op::kReadModifyWrite, value, where);
	}

	/* The CPU: reads the entry and holds off changes by others until walk_end(). */
	T walk(Where where = Where::current())
	{
		if (interleaf::Scheduler *s = interleaf::Scheduler::current()) {
			s->point(interleaf::Op::kRead, number_, this, true, where);
			walkers_ |= interleaf::task_bit(s->current_id());
			s->close(gate_);
		}
		return value_;
	}
	/* Sets accessed and dirty bits, atomically. Requires: inside a walk. */
	void walk_set_bits(std::uint32_t bits, Where where = Where::current())
	{
		if (interleaf::Scheduler *s = interleaf::Scheduler::current())
			s->point(interleaf::Op::kReadModifyWrite, number_, this, true, where);
		value_.bits |= bits;
	}
	void walk_end()
	{
		interleaf::Scheduler *s = interleaf::Scheduler::current();
		if (s == nullptr)
			return;
		/* In the step of the access: whoever waits for it depends on that step. */
		s->also(interleaf::Op::kRead, number_, this);
		walkers_ &= ~interleaf::task_bit(s->current_id());
		if (walkers_ == 0)
			s->open(gate_);
	}

	/* No point: for set-up, reports, the oracle. */
	T peek() const { return value_; }
	void poke(T value) { value_ = value; }

private:
	T read(bool marked, Where where) const
	{
		if (interleaf::Scheduler *s = interleaf::Scheduler::current())
			s->point(interleaf::Op::kRead, number_, this, marked, where);
		return value_;
	}
	T change(interleaf::Op op, T value, Where where)
	{
		if (interleaf::Scheduler *s = interleaf::Scheduler::current())
			s->gated_point(op, number_, this, gate_, walkers_ == 0, "TLB flush", where);
		const T old = value_;
		value_ = value;
		return old;
	}

	T value_{};
	mutable interleaf::ObjectNumber number_;
	interleaf::Gate gate_; /* those that want to change the entry */
	interleaf::TaskMask walkers_ = 0; /* CPUs between a walk and its access */
};

template <typename T>
T READ_ONCE(const TableEntry<T> &entry,
	    std::source_location where = std::source_location::current())
{
	return entry.read_once(where);
}
template <typename T>
void WRITE_ONCE(TableEntry<T> &entry, std::type_identity_t<T> value,
		std::source_location where = std::source_location::current())
{
	entry.write_once(value, where);
}

} // namespace kernel
