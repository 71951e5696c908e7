// SPDX-License-Identifier: GPL-2.0-only
// Patches of get_user_pages, of those who store to users' pages, and of who must look out for them.
#include <array>

#include "engine/kernel/patch.h"

namespace kernel
{

using enum Patch;

static constexpr std::array<patch_info, 2> kGupPatches = { {
	{
		.patch = kReclaimSkipsPinned,
		.slug = "reclaim-skips-pinned",
		.commit = "d824ec2a1546",
		.title = "mm: do not reclaim private data from pinned page",
		.source = "in 6.4 and 6.1.28; linux-mm, 2023-04-28, Jan Kara",
	},
	{
		.patch = kDioPinsPages,
		.slug = "dio-pins-pages",
		.commit = "a7e689dd1c06",
		.title = "block: convert bio_iov_iter_get_pages to use iov_iter_extract_pages",
		.source = "in 6.5; linux-block, 2023-05-22, David Howells",
	},
} };

std::span<const patch_info> gup_patches()
{
	return kGupPatches;
}

} // namespace kernel
