// SPDX-License-Identifier: GPL-2.0-only
// Patches: every change to the ported code that a user can apply or take out, one condition
// patched(Patch::kSomething) at the line it changes. A kernel version is a preset of patches.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace kernel
{

/* In the order of the table in patch.cc. */
enum class Patch : std::uint8_t {
	kKhugepagedWriteAllDirty, /* khugepaged-write-all-dirty: landed fix (FIX-V2) */
	kKhugepagedWriteAllDirtyV1, /* ...-v1: for every non-shmem mapping (FIX-V1) */
	kOpenFlushBeforePurge, /* open-flush-before-purge: the reporters', before IL.w */
	kOpenFlushUnderLock, /* open-flush-under-lock: the same inside IL.w */
	kCount,
};

using patch_set = std::uint64_t; /* bit i: Patch i is applied */
constexpr patch_set patch_bit(Patch patch)
{
	return patch_set{ 1 } << static_cast<unsigned>(patch);
}

struct patch_info {
	Patch patch;
	std::string_view slug;
	std::string_view commit; /* upstream, or "" if it never landed */
	std::string_view title;
	std::string_view source; /* list, date, author */
	patch_set needs; /* patches that must be applied too */
	patch_set excludes;
};

struct kernel_info {
	std::string_view name; /* "6.12.95" */
	std::string_view alias; /* "6.12" or "" */
	patch_set patches;
	std::string_view summary;
};

unsigned patch_count();
const patch_info &patch_at(unsigned index);
const patch_info *find_patch(std::string_view slug);
unsigned kernel_count();
const kernel_info &kernel_at(unsigned index);
const kernel_info *find_kernel(std::string_view name_or_alias);
/* Null if this set makes sense, else a sentence that names the patches in conflict. */
const char *patch_conflict(patch_set set);

/* Is this patch part of the machine that the calling code runs on? */
bool patched(Patch patch);

} // namespace kernel
