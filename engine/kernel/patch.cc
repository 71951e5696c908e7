// SPDX-License-Identifier: GPL-2.0-only
// The tables of patches and kernels.
#include "engine/kernel/patch.h"

#include <array>
#include <initializer_list>

#include "engine/kernel/machine.h"
#include "engine/kernel/patch_watch.h"

namespace kernel
{

namespace
{

using enum Patch;

constexpr patch_set bits_of(std::initializer_list<Patch> patches)
{
	patch_set set = 0;
	for (const Patch patch : patches)
		set |= patch_bit(patch);
	return set;
}

constexpr std::array<patch_info, static_cast<unsigned>(Patch::kCount)> kPatches = { {
	{
		.patch = kKhugepagedWriteAllDirty,
		.slug = "khugepaged-write-all-dirty",
		.commit = "", /* stable only: mainline had removed the purge */
		.title = "mm/khugepaged: write all dirty file folios when collapsing",
		.source = "linux-mm, 2026-07-08, Pedro Falcato, v2; in 6.12.96, 6.18.y, 7.1.y",
		.needs = bits_of({ kInvalidateLock, kCollapseKeepsOldFolios }),
		.excludes = bits_of({ kKhugepagedWriteAllDirtyV1 }),
	},
	{
		.patch = kKhugepagedWriteAllDirtyV1,
		.slug = "khugepaged-write-all-dirty-v1",
		.commit = "",
		.title = "mm/khugepaged: write all dirty file folios when collapsing (v1)",
		.source = "linux-mm, 2026-07-02, Pedro Falcato, v1",
		.needs = bits_of({ kInvalidateLock, kCollapseKeepsOldFolios }),
		.excludes = bits_of({ kKhugepagedWriteAllDirty }),
	},
	{
		.patch = kOpenFlushBeforePurge,
		.slug = "open-flush-before-purge",
		.commit = "",
		.title = "fs: write dirty page cache back before a write-open purges it",
		.source = "linux-mm, 2026-06-30, Gregg Leventhal, proposal in the report",
		.excludes = bits_of({ kOpenFlushUnderLock, kOpenCheckUnderLock, kOpenRefuse }),
	},
	{
		.patch = kOpenFlushUnderLock,
		.slug = "open-flush-under-lock",
		.commit = "",
		.title = "fs: the same, under the invalidate_lock that the purge takes",
		.source = "linux-mm, 2026-06-30, after Gregg Leventhal's proposal",
		.needs = bits_of({ kPurgeUnderLock }),
		.excludes = bits_of({ kOpenFlushBeforePurge, kOpenRefuse }),
	},
	{
		.patch = kInvalidateLock,
		.slug = "invalidate-lock",
		.commit = "730633f0b7f9",
		.title = "mm: Protect operations adding pages to page cache with invalidate_lock",
		.source = "in 5.15, Jan Kara",
	},
	{
		.patch = kSkipWriteback,
		.slug = "skip-writeback",
		.commit = "74c42e1baacf",
		.title = "mm, thp: bail out early in collapse_file for writeback page",
		.source = "in 5.15, 2021, Rongwei Wang",
	},
	{
		.patch = kPurgeUnderLock,
		.slug = "purge-under-lock",
		.commit = "55fc0d917467",
		.title = "mm, thp: lock filemap when truncating page cache",
		.source = "in 5.15.4 and 5.16; linux-mm, 2021-10-25, Rongwei Wang",
		.needs = bits_of({ kInvalidateLock }),
	},
	{
		.patch = kPurgeKeepsPrivate,
		.slug = "purge-keep-private",
		.commit = "8468e937df1f",
		.title = "mm, thp: fix incorrect unmap behavior for private pages",
		.source = "in 5.15.4 and 5.16; linux-mm, 2021-10-25, Rongwei Wang",
	},
	{
		.patch = kSplitCountsThp,
		.slug = "split-decrements-nr-thps",
		.commit = "1ca7554d05ac",
		.title = "mm/thp: decrease nr_thps in file's mapping on THP split",
		.source = "in 5.16, 5.15.4 and 5.14.16",
	},
	{
		.patch = kNoIndexAssert,
		.slug = "no-index-assert",
		.commit = "d417b49fff3e",
		.title = "mm/filemap.c: remove bogus VM_BUG_ON",
		.source = "in 5.15.4 and 5.16; Matthew Wilcox",
	},
	{
		.patch = kFolioTruncate,
		.slug = "truncate-by-folio",
		.commit = "6b24ca4a1a8d",
		.title = "mm: Use multi-index entries in the page cache",
		.source = "in 5.17, with the folio conversion of truncate; Matthew Wilcox",
		.needs = bits_of({ kNoIndexAssert }),
		.removes = bits_of({ kNoTailAssert, kTruncateRecheck, kPutAfterSkip }),
	},
	{
		.patch = kUnmapByRmap,
		.slug = "unmap-by-rmap",
		.commit = "6d9df8a5889c",
		.title = "mm/thp: collapse_file() do try_to_unmap(TTU_BATCH_FLUSH)",
		.source = "in 5.18, Hugh Dickins",
	},
	{
		.patch = kMadviseCollapse,
		.slug = "madvise-collapse",
		.commit = "34488399fa08",
		.title = "mm/madvise: add file and shmem support to MADV_COLLAPSE",
		.source = "in 6.1, Zach O'Keefe",
	},
	{
		.patch = kCollapseKeepsOldFolios,
		.slug = "collapse-keep-old-folios",
		.commit = "a2e17cc2efc7",
		.title = "mm/khugepaged: maintain page cache uptodate flag",
		.source = "in 6.4, David Stevens, with the patches before it",
		.needs = bits_of({ kFolioTruncate, kUnmapByRmap }),
	},
	{
		.patch = kNoVmExec,
		.slug = "thp-without-vm-exec",
		.commit = "7fbb5e188248",
		.title = "mm: remove VM_EXEC requirement for THP eligibility",
		.source = "in 6.8, Fangrui Song",
	},
	{
		.patch = kDirtyIsTransient,
		.slug = "collapse-dirty-eagain",
		.commit = "5173ae0a068d",
		.title = "mm/khugepaged: map dirty/writeback pages failures to EAGAIN",
		.source = "by 7.1",
	},
	{
		.patch = kMadviseWritesBack,
		.slug = "madvise-collapse-writeback",
		.commit = "398556570e32",
		.title = "mm/khugepaged: retry with sync writeback for MADV_COLLAPSE",
		.source = "by 7.1",
		.needs = bits_of({ kMadviseCollapse, kDirtyIsTransient }),
	},
	{
		.patch = kDirtyRecheck,
		.slug = "collapse-recheck-dirty",
		.commit = "4e3d769bf0fc",
		.title = "mm/khugepaged: add folio dirty check after try_to_unmap()",
		.source = "in 7.2; linux-mm, 2026-05-17, Zi Yan",
		.needs = bits_of({ kCollapseKeepsOldFolios, kDirtyIsTransient }),
	},
	{
		.patch = kThpNeedsLargeFolios,
		.slug = "thp-needs-large-folios",
		.commit = "8a088263a097",
		.title = "mm/huge_memory: remove READ_ONLY_THP_FOR_FS from file_thp_enabled()",
		.source = "in 7.2; linux-mm, 2026-05-17, Zi Yan",
	},
	{
		.patch = kNoPurge,
		.slug = "no-write-open-purge",
		.commit = "044925f9b565",
		.title = "mm: fs: remove filemap_nr_thps*() functions and their users",
		.source = "in 7.2; linux-mm, 2026-05-17, Zi Yan",
		.needs = bits_of({ kPurgeUnderLock, kPurgeKeepsPrivate, kThpNeedsLargeFolios }),
		.removes = bits_of({ kKhugepagedWriteAllDirty, kKhugepagedWriteAllDirtyV1,
				     kOpenFlushBeforePurge, kOpenFlushUnderLock, kOpenRecheck,
				     kOpenCheckUnderLock, kFlushTrylock, kPurgeCleanOnly,
				     kOpenRefuse }),
	},
	{
		.patch = kCollapseWritable,
		.slug = "collapse-writable-files",
		.commit = "1b6444331beb",
		.title = "mm/khugepaged: enable clean pagecache folio collapse for writable files",
		.source = "in 7.2; linux-mm, 2026-05-17, Zi Yan",
		.needs = bits_of({ kNoPurge }),
	},
	{
		.patch = kZapKeepsPmdDirt,
		.slug = "zap-keeps-pmd-dirty",
		.commit = "fe6cf984939d",
		.title = "mm/huge_memory: transfer the pmd dirty bit to the folio on zap",
		.source = "in 6.1.191, 6.12.114",
	},
	{
		.patch = kNoTailAssert,
		.slug = "no-tail-assert",
		.commit = "",
		.title = "mm: truncate relies on the mapping test, not on PageTail",
		.source = "linux-mm, 2021-09-30, Hugh Dickins, proposal",
	},
	{
		.patch = kTruncateRecheck,
		.slug = "truncate-recheck-mapping",
		.commit = "",
		.title = "mm, thp: check page mapping when truncating page cache",
		.source = "linux-mm, 2021-09-22, Rongwei Wang, v2",
	},
	{
		.patch = kCollapseDenyWrite,
		.slug = "collapse-deny-write",
		.commit = "",
		.title = "mm/khugepaged: deny write access while collapsing",
		.source = "linux-mm, 2021-09-27, Song Liu, proposal",
	},
	{
		.patch = kOpenRecheck,
		.slug = "open-recheck-under-lock",
		.commit = "",
		.title = "fs: read nr_thps again under invalidate_lock before a write-open purges",
		.source = "proposal, docs/FINDINGS.md 1",
		.needs = bits_of({ kPurgeUnderLock }),
		.excludes = bits_of({ kOpenCheckUnderLock, kOpenRefuse }),
	},
	{
		.patch = kOpenCheckUnderLock,
		.slug = "open-check-under-lock",
		.commit = "",
		.title = "fs: read nr_thps under invalidate_lock only",
		.source = "proposal, docs/FINDINGS.md 1 and 4",
		.needs = bits_of({ kPurgeUnderLock }),
		.excludes = bits_of({ kOpenFlushBeforePurge, kOpenRecheck, kOpenRefuse }),
	},
	{
		.patch = kFlushTrylock,
		.slug = "khugepaged-flush-trylock",
		.commit = "",
		.title = "mm/khugepaged: give up if invalidate_lock is taken when collapsing",
		.source = "proposal, docs/FINDINGS.md 2",
		.needs_one = bits_of({ kKhugepagedWriteAllDirty, kKhugepagedWriteAllDirtyV1 }),
	},
	{
		.patch = kPurgeCleanOnly,
		.slug = "open-purge-clean-only",
		.commit = "",
		.title = "fs: drop only clean folios until the file has no huge pages",
		.source = "proposal, after invalidate_inode_pages2()",
		.needs = bits_of({ kPurgeUnderLock, kPurgeKeepsPrivate }),
		.excludes = bits_of({ kOpenRefuse }),
	},
	{
		.patch = kOpenRefuse,
		.slug = "open-refuse-thp",
		.commit = "",
		.title = "fs: fail a write-open of a file with huge pages",
		.source = "linux-mm, 2021-09-23, Andrew Morton, idea",
		.excludes = bits_of({ kOpenFlushBeforePurge, kOpenFlushUnderLock, kOpenRecheck,
				      kOpenCheckUnderLock, kPurgeCleanOnly }),
	},
	{
		.patch = kPutAfterSkip,
		.slug = "find-lock-entries-uaf",
		.commit = "", /* stable only: mainline had folios by then */
		.title = "mm/filemap: fix UAF in find_lock_entries",
		.source = "stable, 2022-07-06, Liu Shixin, v2; in 5.15.54",
	},
} };

/* Each set holds what the one before it has. */
constexpr patch_set k5_15_4 = bits_of({ kInvalidateLock, kSkipWriteback, kPurgeUnderLock,
					kPurgeKeepsPrivate, kSplitCountsThp, kNoIndexAssert });
constexpr patch_set k6_1 = k5_15_4 | bits_of({ kFolioTruncate, kUnmapByRmap, kMadviseCollapse });
constexpr patch_set k6_12 = k6_1 | bits_of({ kCollapseKeepsOldFolios, kNoVmExec });
constexpr patch_set k7_2 = k6_12 | bits_of({ kDirtyIsTransient, kMadviseWritesBack, kDirtyRecheck,
					     kThpNeedsLargeFolios, kNoPurge, kCollapseWritable });

constexpr std::array<kernel_info, 6> kKernels = { {
	{
		.name = "5.14.0",
		.alias = "5.14",
		.patches = 0,
		.folio_batch = 15,
		.summary = "a huge page is 512 slots; a write-open purges the file without a lock",
	},
	{
		.name = "5.15.4",
		.alias = "5.15",
		.patches = k5_15_4,
		.folio_batch = 15,
		.summary = "the purge takes invalidate_lock and leaves private copies alone",
	},
	{
		.name = "6.1.192",
		.alias = "6.1",
		.patches = k6_1 | patch_bit(kZapKeepsPmdDirt),
		.folio_batch = 15,
		.summary = "a huge page is one entry; collapse replaces pages one by one",
	},
	{
		.name = "6.12.95",
		.alias = "6.12",
		.patches = k6_12,
		.folio_batch = 31,
		.summary = "a write-open purges file huge pages and every dirty page beside them",
	},
	{
		.name = "6.12.96",
		.alias = "",
		.patches = k6_12 | patch_bit(kKhugepagedWriteAllDirty),
		.folio_batch = 31,
		.summary = "collapsing a file range writes the whole file back first",
	},
	{
		.name = "7.2",
		.alias = "",
		.patches = k7_2,
		.folio_batch = 31,
		.summary = "huge pages only where the filesystem can write them; no purge",
	},
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

/* Of the innermost patch_watch; null: nobody looks. */
static constinit thread_local patch_set *t_asked = nullptr;

patch_watch::patch_watch() : outer_(t_asked)
{
	t_asked = &asked_;
}

patch_watch::~patch_watch()
{
	t_asked = outer_;
	if (outer_ != nullptr)
		*outer_ |= asked_;
}

bool patched(Patch patch)
{
	if (t_asked != nullptr)
		*t_asked |= patch_bit(patch);
	return (this_machine().patches & patch_bit(patch)) != 0;
}

} // namespace kernel
