// SPDX-License-Identifier: GPL-2.0-only
// What a machine has one of, for reports: called by the field alone.
#include "engine/kernel/fields.h"
#include "engine/kernel/machine.h"

namespace kernel
{

std::string value_text(const interleaf::Scheduler &, const faults_left &faults)
{
	return std::to_string(faults.left);
}

namespace
{

std::string no_name(const interleaf::Scheduler &, const void *)
{
	return "";
}

constexpr interleaf::BlockField machine_fields[] = {
	FIELD(machine, rcu),
	FIELD(machine, stat.nr_file_pages),
	FIELD(machine, stat.nr_file_dirty),
	FIELD(machine, stat.nr_writeback),
	FIELD(machine, stat.nr_file_thps),
	FIELD(machine, stat.nr_file_mapped),
	FIELD(machine, khugepaged_mm_lock),
	FIELD(machine, khugepaged_wait),
	FIELD(machine, any_faults),
	FIELD(machine, alloc_faults),
	FIELD(machine, copy_faults),
	FIELD(machine, bio_faults),
};

} // namespace

const machine &machine_of(const interleaf::Scheduler &scheduler)
{
	return *static_cast<const machine *>(scheduler.root());
}

const interleaf::BlockType machine_block{ "machine", "memory", machine_fields, no_name };

} // namespace kernel
