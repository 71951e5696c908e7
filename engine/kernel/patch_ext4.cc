// SPDX-License-Identifier: GPL-2.0-only
// Patches of ext4.
#include <array>

#include "engine/kernel/patch.h"

namespace kernel
{

using enum Patch;

static constexpr std::array<patch_info, 6> kExt4Patches = { {
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
		.commit = "c4602a1d09ec",
		.title = "ext4: move zero partial block range functions out of active handle",
		.source = "in 7.1, with 3f60efd65412 and those before; linux-ext4, 2026-03-25, "
			  "Zhang Yi, v2",
		.needs = patch_bits({ kExt4ZeroOnExtend }),
	},
	{
		.patch = kExt4TruncateCacheRange,
		.slug = "ext4-truncate-cache-range",
		.commit = "",
		.title =
			"ext4: hole punch and zero range truncate parts of pages, and do not flush",
		.source = "by calls measured: not in 6.1.192, in 6.12.117; with 17207d0bb209, "
			  "Zhang Yi",
	},
	{
		.patch = kExt4WriteEndNoHandle,
		.slug = "ext4-write-end-no-handle",
		.commit = "",
		.title = "ext4: a write behind the end of the file starts no handle for the size "
			 "in memory",
		.source = "by calls measured: not in 6.1.192, in 6.12.117; with 17207d0bb209, "
			  "Zhang Yi",
	},
	{
		.patch = kExt4Iomap,
		.slug = "ext4-iomap",
		.commit = "",
		.title = "ext4: use iomap for regular file's buffered I/O path",
		.source = "linux-ext4, 2026-02-03, Zhang Yi, v2; not merged",
		.needs = patch_bits({ kFailedWriteKeepsCache, kWriteValidity, kIfsDirtyBits,
				      kWritebackBitEarly, kZeroRangeFlush }),
	},
	{
		.patch = kExt4ZeroBatchLocked,
		.slug = "ext4-zero-batch-under-lock",
		.commit = "",
		.title = "(look up the extent and the dirty folios over it under one i_data_sem)",
		.source = "of this project, after what XFS does",
		.needs = patch_bits({ kExt4Iomap, kZeroRangeBatch }),
	},
} };

std::span<const patch_info> ext4_patches()
{
	return kExt4Patches;
}

} // namespace kernel
