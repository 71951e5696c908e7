// SPDX-License-Identifier: GPL-2.0-only
// The personas: filesystems of 6.12 with default mount options and 4 KiB blocks.
#include <array>

#include "engine/kernel/config.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/simple_fs.h"
#include "engine/kernel/xfs/xfs_inode.h"

namespace kernel
{

namespace
{

constexpr std::array<persona, 4> kPersonas = { {
	{
		.name = "generic",
		.large_folios = false,
		.has_private = false,
		.writes_take_i_rwsem = true,
		.mkwrite_takes_invalidate_lock = false,
		.truncate_takes_invalidate_lock = false,
		.delayed_allocation = false,
		.s_op = &simple_super_operations,
	},
	{
		.name = "ext4",
		.large_folios = false,
		.has_private = true,
		.writes_take_i_rwsem = true,
		.mkwrite_takes_invalidate_lock = true,
		.truncate_takes_invalidate_lock = true,
		.delayed_allocation = true,
		.s_op = &ext4_super_operations,
	},
	/* Has a lock of its own, per inode, where others take invalidate_lock. */
	{
		.name = "btrfs",
		.large_folios = false,
		.has_private = true,
		.writes_take_i_rwsem = true,
		.mkwrite_takes_invalidate_lock = false,
		.truncate_takes_invalidate_lock = false,
		.delayed_allocation = true,
		.s_op = &simple_super_operations,
	},
	/* iomap attaches private data to folios of several blocks. */
	{
		.name = "xfs",
		.large_folios = true,
		.has_private = false,
		.writes_take_i_rwsem = true,
		.mkwrite_takes_invalidate_lock = true,
		.truncate_takes_invalidate_lock = true,
		.delayed_allocation = true,
		.s_op = &xfs_super_operations,
	},
} };

} // namespace

unsigned persona_count()
{
	return kPersonas.size();
}

const persona &persona_at(unsigned index)
{
	return kPersonas[index];
}

const persona *find_persona(std::string_view name)
{
	for (const persona &candidate : kPersonas) {
		if (candidate.name == name)
			return &candidate;
	}
	return nullptr;
}

} // namespace kernel
