// SPDX-License-Identifier: GPL-2.0-only
// The patches of huge pages of files: collapse, truncate, and opening for write.
#include "engine/kernel/patch.h"

namespace kernel
{

namespace
{

using enum Patch;

constexpr patch_info kPatches[] = {
	{
		.patch = kKhugepagedWriteAllDirty,
		.slug = "khugepaged-write-all-dirty",
		.commit = "", /* stable only: mainline had removed the purge */
		.title = "mm/khugepaged: write all dirty file folios when collapsing",
		.source = "linux-mm, 2026-07-08, Pedro Falcato, v2; in 6.12.96, 6.18.y, 7.1.y",
		.needs = patch_bits({ kInvalidateLock, kCollapseKeepsOldFolios }),
		.excludes = patch_bits({ kKhugepagedWriteAllDirtyV1 }),
	},
	{
		.patch = kKhugepagedWriteAllDirtyV1,
		.slug = "khugepaged-write-all-dirty-v1",
		.commit = "",
		.title = "mm/khugepaged: write all dirty file folios when collapsing (v1)",
		.source = "linux-mm, 2026-07-02, Pedro Falcato, v1",
		.needs = patch_bits({ kInvalidateLock, kCollapseKeepsOldFolios }),
		.excludes = patch_bits({ kKhugepagedWriteAllDirty }),
	},
	{
		.patch = kOpenFlushBeforePurge,
		.slug = "open-flush-before-purge",
		.commit = "",
		.title = "fs: write dirty page cache back before a write-open purges it",
		.source = "linux-mm, 2026-06-30, Gregg Leventhal, proposal in the report",
		.excludes = patch_bits({ kOpenFlushUnderLock, kOpenCheckUnderLock, kOpenRefuse }),
	},
	{
		.patch = kOpenFlushUnderLock,
		.slug = "open-flush-under-lock",
		.commit = "",
		.title = "fs: the same, under the invalidate_lock that the purge takes",
		.source = "linux-mm, 2026-06-30, after Gregg Leventhal's proposal",
		.needs = patch_bits({ kPurgeUnderLock }),
		.excludes = patch_bits({ kOpenFlushBeforePurge, kOpenRefuse }),
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
		.needs = patch_bits({ kInvalidateLock }),
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
		.needs = patch_bits({ kNoIndexAssert }),
		.removes = patch_bits({ kNoTailAssert, kTruncateRecheck, kPutAfterSkip }),
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
		.needs = patch_bits({ kFolioTruncate, kUnmapByRmap }),
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
		.needs = patch_bits({ kMadviseCollapse, kDirtyIsTransient }),
	},
	{
		.patch = kDirtyRecheck,
		.slug = "collapse-recheck-dirty",
		.commit = "4e3d769bf0fc",
		.title = "mm/khugepaged: add folio dirty check after try_to_unmap()",
		.source = "in 7.2; linux-mm, 2026-05-17, Zi Yan",
		.needs = patch_bits({ kCollapseKeepsOldFolios, kDirtyIsTransient }),
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
		.needs = patch_bits({ kPurgeUnderLock, kPurgeKeepsPrivate, kThpNeedsLargeFolios }),
		.removes = patch_bits({ kKhugepagedWriteAllDirty, kKhugepagedWriteAllDirtyV1,
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
		.needs = patch_bits({ kNoPurge }),
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
		.needs = patch_bits({ kPurgeUnderLock }),
		.excludes = patch_bits({ kOpenCheckUnderLock, kOpenRefuse }),
	},
	{
		.patch = kOpenCheckUnderLock,
		.slug = "open-check-under-lock",
		.commit = "",
		.title = "fs: read nr_thps under invalidate_lock only",
		.source = "proposal, docs/FINDINGS.md 1 and 4",
		.needs = patch_bits({ kPurgeUnderLock }),
		.excludes = patch_bits({ kOpenFlushBeforePurge, kOpenRecheck, kOpenRefuse }),
	},
	{
		.patch = kFlushTrylock,
		.slug = "khugepaged-flush-trylock",
		.commit = "",
		.title = "mm/khugepaged: give up if invalidate_lock is taken when collapsing",
		.source = "proposal, docs/FINDINGS.md 2",
		.needs_one = patch_bits({ kKhugepagedWriteAllDirty, kKhugepagedWriteAllDirtyV1 }),
	},
	{
		.patch = kPurgeCleanOnly,
		.slug = "open-purge-clean-only",
		.commit = "",
		.title = "fs: drop only clean folios until the file has no huge pages",
		.source = "proposal, after invalidate_inode_pages2()",
		.needs = patch_bits({ kPurgeUnderLock, kPurgeKeepsPrivate }),
		.excludes = patch_bits({ kOpenRefuse }),
	},
	{
		.patch = kOpenRefuse,
		.slug = "open-refuse-thp",
		.commit = "",
		.title = "fs: fail a write-open of a file with huge pages",
		.source = "linux-mm, 2021-09-23, Andrew Morton, idea",
		.excludes = patch_bits({ kOpenFlushBeforePurge, kOpenFlushUnderLock, kOpenRecheck,
					 kOpenCheckUnderLock, kPurgeCleanOnly }),
	},
	{
		.patch = kPutAfterSkip,
		.slug = "find-lock-entries-uaf",
		.commit = "", /* stable only: mainline had folios by then */
		.title = "mm/filemap: fix UAF in find_lock_entries",
		.source = "stable, 2022-07-06, Liu Shixin, v2; in 5.15.54",
	},
};

} // namespace

std::span<const patch_info> thp_patches()
{
	return kPatches;
}

} // namespace kernel
