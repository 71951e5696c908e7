// SPDX-License-Identifier: GPL-2.0-only
// Patches of ext4.
#include <array>

#include "engine/kernel/patch.h"

namespace kernel
{

using enum Patch;

static constexpr std::array<patch_info, 2> kExt4Patches = { {
	{
		.patch = kExt4ZeroOnExtend,
		.slug = "ext4-zero-on-extend",
		.commit = "c7fc0366c656",
		.title = "ext4: partial zero eof block on unaligned inode size extension",
		.source = "in 6.13; linux-ext4, 2024-09-19, Brian Foster",
	},
	{
		.patch = kExt4ZeroBeforeHandle,
		.slug = "ext4-zero-before-handle",
		.commit = "",
		.title = "ext4: refactor partial block zero-out",
		.source =
			"linux-ext4, 2026-03-25, Zhang Yi, v2; in which release was not looked up",
		.needs = patch_bits({ kExt4ZeroOnExtend }),
	},
} };

std::span<const patch_info> ext4_patches()
{
	return kExt4Patches;
}

} // namespace kernel
