// SPDX-License-Identifier: GPL-2.0-only
// The tables of patches and kernels.
#include "engine/kernel/patch.h"

#include <array>

#include "engine/kernel/machine.h"

namespace kernel
{

namespace
{

constexpr patch_set kV1 = patch_bit(Patch::kKhugepagedWriteAllDirtyV1);
constexpr patch_set kV2 = patch_bit(Patch::kKhugepagedWriteAllDirty);
constexpr patch_set kBeforePurge = patch_bit(Patch::kOpenFlushBeforePurge);
constexpr patch_set kUnderLock = patch_bit(Patch::kOpenFlushUnderLock);

constexpr std::array<patch_info, static_cast<unsigned>(Patch::kCount)> kPatches = { {
	{
		.patch = Patch::kKhugepagedWriteAllDirty,
		.slug = "khugepaged-write-all-dirty",
		.commit = "", /* stable only: mainline had removed the purge */
		.title = "mm/khugepaged: write all dirty file folios when collapsing",
		.source = "linux-mm, 2026-07-08, Pedro Falcato, v2; in 6.12.96, 6.18.y, 7.1.y",
		.needs = 0,
		.excludes = kV1,
	},
	{
		.patch = Patch::kKhugepagedWriteAllDirtyV1,
		.slug = "khugepaged-write-all-dirty-v1",
		.commit = "",
		.title = "mm/khugepaged: write all dirty file folios when collapsing (v1)",
		.source = "linux-mm, 2026-07-02, Pedro Falcato, v1",
		.needs = 0,
		.excludes = kV2,
	},
	{
		.patch = Patch::kOpenFlushBeforePurge,
		.slug = "open-flush-before-purge",
		.commit = "",
		.title = "fs: write dirty page cache back before a write-open purges it",
		.source = "linux-mm, 2026-06-30, Gregg Leventhal, proposal in the report",
		.needs = 0,
		.excludes = kUnderLock,
	},
	{
		.patch = Patch::kOpenFlushUnderLock,
		.slug = "open-flush-under-lock",
		.commit = "",
		.title = "fs: the same, under the invalidate_lock that the purge takes",
		.source = "linux-mm, 2026-06-30, after Gregg Leventhal's proposal",
		.needs = 0,
		.excludes = kBeforePurge,
	},
} };

constexpr std::array<kernel_info, 2> kKernels = { {
	{
		.name = "6.12.95",
		.alias = "6.12",
		.patches = 0,
		.summary = "a write-open purges file huge pages and every dirty page beside them",
	},
	{
		.name = "6.12.96",
		.alias = "",
		.patches = kV2,
		.summary = "collapsing a file range writes the whole file back first",
	},
} };

struct conflict {
	patch_set both;
	const char *sentence;
};

constexpr std::array<conflict, 2> kConflicts = { {
	{ kV1 | kV2,
	  "khugepaged-write-all-dirty and khugepaged-write-all-dirty-v1 are two versions "
	  "of one patch: apply one of them" },
	{ kBeforePurge | kUnderLock, "open-flush-before-purge and open-flush-under-lock place the "
				     "same flush: apply one of them" },
} };

} // namespace

unsigned patch_count()
{
	return kPatches.size();
}

const patch_info &patch_at(unsigned index)
{
	return kPatches[index];
}

const patch_info *find_patch(std::string_view slug)
{
	for (const patch_info &candidate : kPatches) {
		if (candidate.slug == slug)
			return &candidate;
	}
	return nullptr;
}

unsigned kernel_count()
{
	return kKernels.size();
}

const kernel_info &kernel_at(unsigned index)
{
	return kKernels[index];
}

const kernel_info *find_kernel(std::string_view name_or_alias)
{
	if (name_or_alias.empty())
		return nullptr;
	for (const kernel_info &candidate : kKernels) {
		if (candidate.name == name_or_alias || candidate.alias == name_or_alias)
			return &candidate;
	}
	return nullptr;
}

const char *patch_conflict(patch_set set)
{
	for (const conflict &candidate : kConflicts) {
		if ((set & candidate.both) == candidate.both)
			return candidate.sentence;
	}
	return nullptr;
}

bool patched(Patch patch)
{
	return (this_machine().patches & patch_bit(patch)) != 0;
}

} // namespace kernel
