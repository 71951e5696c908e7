// SPDX-License-Identifier: GPL-2.0-only
// Patches: every change to the ported code that a user can apply or take out, one condition
// patched(Patch::kSomething) at the line it changes. A kernel version is a preset of patches.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace kernel
{

/* In the order of the tables in patch_*.cc, a family after the other. */
enum class Patch : std::uint8_t {
	kKhugepagedWriteAllDirty, /* khugepaged-write-all-dirty: landed fix (FIX-V2) */
	kKhugepagedWriteAllDirtyV1, /* ...-v1: for every non-shmem mapping (FIX-V1) */
	kOpenFlushBeforePurge, /* open-flush-before-purge: the reporters', before IL.w */
	kOpenFlushUnderLock, /* open-flush-under-lock: the same inside IL.w */

	/* What kernels since 5.14 have got, oldest first. */
	kInvalidateLock, /* invalidate-lock: mapping->invalidate_lock exists */
	kSkipWriteback, /* skip-writeback: collapse leaves folios under writeback alone */
	kPurgeUnderLock, /* purge-under-lock: the write-open purge takes invalidate_lock */
	kPurgeKeepsPrivate, /* purge-keep-private: and leaves private copies mapped */
	kSplitCountsThp, /* split-decrements-nr-thps: a split huge page counts no longer */
	kNoIndexAssert, /* no-index-assert: find_lock_entries() trusts no index */
	kFolioTruncate, /* truncate-by-folio: a huge page is one entry, lookups return it */
	kUnmapByRmap, /* unmap-by-rmap: collapse unmaps by try_to_unmap() */
	kMadviseCollapse, /* madvise-collapse: MADV_COLLAPSE takes files */
	kCollapseKeepsOldFolios, /* collapse-keep-old-folios: until one store replaces them */
	kNoVmExec, /* thp-without-vm-exec: mappings need not be executable */
	kDirtyIsTransient, /* collapse-dirty-eagain: dirty folios are worth another try */
	kMadviseWritesBack, /* madvise-collapse-writeback: which MADV_COLLAPSE makes itself */
	kDirtyRecheck, /* collapse-recheck-dirty: once more after try_to_unmap() */
	kThpNeedsLargeFolios, /* thp-needs-large-folios: of the filesystem */
	kNoPurge, /* no-write-open-purge: nor nr_thps, nor a look for writers */
	kCollapseWritable, /* collapse-writable-files: also while they are open for write */
	kZapKeepsPmdDirt, /* zap-keeps-pmd-dirty: the PMD's dirty bit goes to the folio */

	/* What never landed. */
	kNoTailAssert, /* no-tail-assert: truncate relies on the mapping, not on the head */
	kTruncateRecheck, /* truncate-recheck-mapping: after the lock, and starts again */
	kCollapseDenyWrite, /* collapse-deny-write: no write-open while it lasts */
	kOpenRecheck, /* open-recheck-under-lock: nr_thps again before the purge */
	kOpenCheckUnderLock, /* open-check-under-lock: nr_thps only there */
	kFlushTrylock, /* khugepaged-flush-trylock: of invalidate_lock, or give up */
	kPurgeCleanOnly, /* open-purge-clean-only: dirty folios stay */
	kOpenRefuse, /* open-refuse-thp: -ETXTBSY instead of the purge */
	kPutAfterSkip, /* find-lock-entries-uaf: what is skipped is put last */

	/* iomap and XFS, oldest first; patch_iomap.cc. */
	kWritebackChecksExtents, /* xfs-writeback-validity: block by block, for changes */
	kFaultHasNoEnd, /* xfs-fault-has-no-end: a failed page fault cleans nothing up */
	kPunchUnderLock, /* xfs-punch-under-lock: a failed write takes invalidate_lock to clean up */
	kFailedWriteKeepsCache, /* iomap-failed-write-keeps-cache: and scans it for dirty folios */
	kScanEofLimit, /* iomap-release-scan-eof: up to the end of the file */
	kPunchByteRange, /* xfs-punch-byte-range: the range of a punch is in bytes */
	kWriteValidity, /* iomap-write-validity: a write notices that its iomap is stale */
	kDiscardToFolioEnd, /* xfs-discard-folio-end: a discarded folio is not an empty range */
	kIfsDirtyBits, /* iomap-dirty-blocks: a folio knows which of its blocks are dirty */
	kPunchCleanSubblocks, /* iomap-punch-clean-blocks: the others lose their reservation */
	kWholeFolioUnread, /* iomap-whole-folio: a write of a whole folio looks at no block */
	kUnshareReads, /* iomap-unshare-reads: what is not written but copied */
	kWritebackBitEarly, /* iomap-writeback-bit-early: PG_writeback before the blocks are mapped */
	kScanRetryEqual, /* iomap-release-scan-retry: if the folio found has left the cache */
	kZeroRangeFlushAll, /* iomap-zero-range-flush-all: zero range writes back first */
	kZeroRangeFlush, /* iomap-zero-range-flush: only if it meets unwritten extents or holes */
	kExtendingWriteLocks, /* xfs-zero-eof-under-lock: a write behind the end locks faults out */
	kIoendSizeClamp, /* iomap-ioend-size: a request ends where the file did */
	kZeroConvertsDelalloc, /* xfs-zero-converts-delalloc: behind the end of the file */
	kZeroKeepsIsize, /* iomap-zero-keeps-isize: zero range makes no file longer */
	kIsizeExtendedZeroes, /* isize-extended-zeroes: the page that the file ended in, if dirty */
	kZeroRangeEofBlock, /* iomap-zero-range-eof-block: the first block, if dirty, unasked */
	kZeroPastEofWarn, /* iomap-zero-past-eof-warn: a folio behind the end of the file */
	kZeroRangeBatch, /* iomap-zero-range-batch: zeroes the dirty folios over unwritten extents */
	kZeroRangeBatchOnStack, /* iomap-zero-range-batch-on-stack: which needs no memory */
	kZeroRangeBatchStable, /* iomap-zero-range-batch-stable: and waits for their writeback */
	kFailedBeginKeepsTail, /* iomap-failed-begin: folios behind the end stay, too */
	kZeroRangeNoHoleFlush, /* iomap-zero-range-no-hole-flush: holes are skipped, dirty or not */
	kMapFailureClearsBits, /* iomap-map-failure-clears-dirty: of all blocks of the folio */
	kCowMappingsShared, /* xfs-cow-mappings-shared: the cookie covers the COW fork, always */
	kPunchCowFork, /* xfs-punch-cow-fork: a short write gives a copy's reservation back */
	kZeroUnshareHoldLock, /* xfs-zero-unshare-hold-lock: and does not take invalidate_lock twice */
	kCowPurgeChecksDirty, /* xfs-unshare-keeps-dirty-cow: the COW fork stays under dirty folios */
	kInsertRangeFlush, /* xfs-insert-range-flush: the last page, before the file grows */
	kZonedZeroFlush, /* xfs-zoned-zero-flush: what is on its way to a zone */
	kZoned, /* xfs-zoned: every write goes to new blocks, of which no file knows till it is done */
	kWriteUpdatesPos, /* iomap-write-updates-pos: an error hides what was written before it */
	kPartialWriteCounts, /* iomap-partial-write-counts: and what was written counts again */
	kWriteLargeChunks, /* iomap-write-large-chunks: a write tries more than a page at a time */
	kShortCopyRetriesLess, /* iomap-short-copy-retries-less: and after a short copy, less */
	kForceZeroRange, /* xfs-force-zero-range: FALLOC_FL_ZERO_RANGE as the debug tag makes it */

	/* ext4; patch_ext4.cc. */
	kExt4ZeroOnExtend, /* ext4-zero-on-extend: the block that held the old end of the file */
	kExt4ZeroBeforeHandle, /* ext4-zero-before-handle: no parts of blocks under a handle */
	kExt4TruncateCacheRange, /* ext4-truncate-cache-range: parts of blocks, too, by hole punch */
	kExt4WriteEndNoHandle, /* ext4-write-end-no-handle: a longer file takes no handle at once */
	kExt4Iomap, /* ext4-iomap: buffered I/O by iomap, without buffer heads */
	kExt4ZeroBatchLocked, /* ext4-zero-batch-under-lock: look-up and batch under i_data_sem */

	/* get_user_pages and its users; patch_gup.cc. */
	kReclaimSkipsPinned, /* reclaim-skips-pinned: private data of pinned folios stays */
	kDioPinsPages, /* dio-pins-pages: direct I/O takes PINs, not plain references */
	kCount,
};

__extension__ typedef unsigned __int128 patch_set; /* bit i: Patch i is applied */
static_assert(static_cast<unsigned>(Patch::kCount) <= 8 * sizeof(patch_set));
constexpr patch_set patch_bit(Patch patch)
{
	return patch_set{ 1 } << static_cast<unsigned>(patch);
}
constexpr patch_set patch_bits(std::initializer_list<Patch> patches)
{
	patch_set set = 0;
	for (const Patch patch : patches)
		set |= patch_bit(patch);
	return set;
}

/*
 * One row of the table. `needs`, `needs_one` and `excludes` say which sets make sense; `removes` says
 * whose code is gone once this patch is there.
 */
struct patch_info {
	Patch patch;
	std::string_view slug;
	std::string_view commit; /* upstream, or "" if it never landed */
	std::string_view title;
	std::string_view source; /* list, date, author; or the release that has it */
	patch_set needs = 0; /* all of them must be applied too */
	patch_set needs_one = 0; /* and one of these, unless empty */
	patch_set excludes = 0; /* none of these beside it; both rows say so */
	patch_set removes = 0; /* none of these beside it: they change what it takes away */
	bool ported = true; /* false: only one side is here, see patch_refusal() */
};

/* The tables of the families, one after the other the table of all: in the order of Patch. */
std::span<const patch_info> thp_patches(); /* patch_thp.cc */
std::span<const patch_info> iomap_patches(); /* patch_iomap.cc */
std::span<const patch_info> ext4_patches(); /* patch_ext4.cc */
std::span<const patch_info> gup_patches(); /* patch_gup.cc */

struct kernel_info {
	std::string_view name; /* "6.12.95" */
	std::string_view alias; /* "6.12" or "" */
	std::string_view on = ""; /* no release: one, named here, with what was posted on top */
	patch_set patches;
	unsigned folio_batch; /* PAGEVEC_SIZE */
	std::string_view summary;
};

unsigned patch_count();
const patch_info &patch_at(unsigned index);
const patch_info *find_patch(std::string_view slug);
unsigned kernel_count();
const kernel_info &kernel_at(unsigned index); /* releases, oldest first; then others */
const kernel_info *find_kernel(std::string_view name_or_alias);

/*
 * Empty if this set of patches makes sense for somebody who started from this kernel, else one
 * sentence: which patches are in each other's way, or which code is not in the port, and the remedy.
 */
std::string patch_refusal(const kernel_info &base, patch_set set);
/* Could this kernel take the patch, which it does not have, as it is? */
bool patch_fits(const kernel_info &base, const patch_info &patch);

/* Is this patch part of the machine that the calling code runs on? */
bool patched(Patch patch);

} // namespace kernel
